"""Muon on convolutions: orthogonal updates of AdamW's size, AdamW for the rest, and it learns."""

import keras
import numpy as np
import pytest

from handpose.training.muon import Muon


def _moved(optimizer, starts, steps):
    """Begin variables at `starts`, take steps with a gradient for each, and give where they come to."""
    variables = [keras.Variable(start) for start in starts]
    optimizer.build(variables)
    for gradients in steps:
        optimizer.apply_gradients(
            [(keras.ops.convert_to_tensor(gradient), v) for gradient, v in zip(gradients, variables, strict=True)]
        )
    return [np.array(variable) for variable in variables]


def _updated(shape, gradient):
    (moved,) = _moved(Muon(0.1, weight_decay=0.0), [np.zeros(shape, np.float32)], [[gradient]])
    return -moved / 0.1


@pytest.mark.parametrize("shape", [(3, 3, 16, 40), (1, 1, 48, 64), (1, 1, 64, 48)])
def test_the_update_of_a_convolution_is_orthogonal(shape):
    gradient = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    update = _updated(shape, gradient)
    values = np.linalg.svd(update.reshape(-1, shape[-1]), compute_uv=False)
    longer = max(update.size // shape[-1], shape[-1])
    assert (
        np.abs(values / (0.2 * np.sqrt(longer)) - 0.95).max() < 0.35
    )  # the quintic leaves singular values in 0.7..1.2
    assert 0.1 < np.sqrt(np.mean(update**2)) < 0.25
    assert (update * gradient).sum() > 0


@pytest.mark.parametrize("shape", [(40,), (64, 64), (3, 3, 16, 8)])
def test_everything_else_takes_the_step_of_adamw(shape):
    gradient = np.random.default_rng(0).choice([-0.7, 0.3], shape).astype(np.float32)
    np.testing.assert_allclose(_updated(shape, gradient), np.sign(gradient), atol=1e-3)


def test_weight_decay_is_the_same_for_all():
    kernels = [keras.Variable(np.ones(shape, np.float32)) for shape in ((3, 3, 32, 32), (40,))]
    optimizer = Muon(0.1, weight_decay=0.5)
    optimizer.build(kernels)
    optimizer.apply_gradients([(keras.ops.zeros(kernel.shape), kernel) for kernel in kernels])
    for kernel in kernels:
        np.testing.assert_allclose(np.array(kernel), 0.95, atol=1e-6)


def test_variables_go_the_same_way_together_as_alone():
    """Kernels of one shape, tall ones, biases, with gradients longer than the clip, and shorter, for three steps."""
    shapes = [(3, 3, 32, 48), (40,), (3, 3, 32, 48), (1, 1, 48, 96), (3, 3, 3, 8), (), (64, 5)]
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    steps = [[rng.normal(0, 10.0**-i, shape).astype(np.float32) for i, shape in enumerate(shapes)] for _ in range(3)]

    def moved(chosen):
        optimizer = Muon(0.01, weight_decay=0.1, clipnorm=1.0)
        return _moved(optimizer, [starts[i] for i in chosen], [[gradients[i] for i in chosen] for gradients in steps])

    for i, together in enumerate(moved(range(len(shapes)))):
        np.testing.assert_allclose(together, moved([i])[0], atol=2e-5, err_msg=str(shapes[i]))


def test_steps_of_all_else_are_those_of_keras_adamw():
    rng = np.random.default_rng(1)
    start, gradients = rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=(3, 7, 5)).astype(np.float32)
    options = {"weight_decay": 0.1, "clipnorm": 2.0}
    optimizers = keras.optimizers.AdamW(0.01, **options), Muon(0.01, **options)
    theirs, ours = (_moved(optimizer, [start], gradients[:, None])[0] for optimizer in optimizers)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_steps_of_a_kernel_are_those_of_jordan_et_al():
    """Nesterov momentum of .95, five steps of the quintic, decoupled decay, in NumPy's full precision."""
    rng = np.random.default_rng(2)
    start, gradients = rng.normal(size=(1, 1, 48, 64)).astype(np.float32), rng.normal(size=(3, 1, 1, 48, 64))
    matrix, momentum = start[0, 0].astype(float), np.zeros((48, 64))
    for gradient in gradients[:, 0, 0]:
        gradient = gradient * 2.0 / max(np.linalg.norm(gradient), 2.0)
        momentum = 0.95 * momentum + gradient
        x = gradient + 0.95 * momentum
        x /= np.linalg.norm(x)
        for _ in range(5):
            square = x @ x.T
            x = 3.4445 * x + (-4.775 * square + 2.0315 * square @ square) @ x
        matrix = matrix * (1 - 0.01 * 0.1) - 0.01 * 0.2 * np.sqrt(64) * x
    (ours,) = _moved(Muon(0.01, weight_decay=0.1, clipnorm=2.0), [start], gradients[:, None].astype(np.float32))
    moved = np.linalg.norm(matrix - start[0, 0])
    assert np.linalg.norm(ours[0, 0] - matrix) < 0.06 * moved, "in bfloat16"


def test_a_variable_without_gradient_is_told():
    variables = [keras.Variable(np.zeros(9, np.float32)) for _ in range(2)]
    optimizer = Muon(0.01, weight_decay=0.0)
    optimizer.build(variables)
    with pytest.raises(ValueError, match="without a gradient"):
        optimizer.apply_gradients([(keras.ops.ones(9), variables[0])])
