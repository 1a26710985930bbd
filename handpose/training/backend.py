"""The gradient step, the one place where the TensorFlow and JAX backends differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

Losses = dict[str, Any]
LossFunction = Callable[[Any, Any], Losses]
TrainStep = Callable[[Any, Any], dict[str, float]]


def make_train_step(
    model: keras.Model, loss_function: LossFunction, optimizer: keras.optimizers.Optimizer
) -> TrainStep:
    """Compile `step(inputs, targets) -> losses as floats`; `loss_function(outputs, targets)` gives a dict that holds "loss".

    Raises ValueError on a backend without a step.
    """
    optimizer.build(model.trainable_variables)
    makers = {"tensorflow": _tensorflow_step, "jax": _jax_step}
    if keras.backend.backend() not in makers:
        raise ValueError(f"training runs on the tensorflow and jax backends, not on {keras.backend.backend()!r}")
    return makers[keras.backend.backend()](model, loss_function, optimizer)


def _tensorflow_step(model, loss_function, optimizer) -> TrainStep:
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def compiled(inputs, targets):
        with tf.GradientTape() as tape:
            losses = loss_function(model(inputs, training=True), targets)
            scaled = optimizer.scale_loss(losses["loss"])
        gradients = tape.gradient(scaled, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return losses

    return lambda inputs, targets: {name: float(value) for name, value in compiled(inputs, targets).items()}


def _jax_step(model, loss_function, optimizer) -> TrainStep:
    import jax

    def forward(trainable, fixed, inputs, targets):
        outputs, fixed = model.stateless_call(trainable, fixed, inputs, training=True)
        losses = loss_function(outputs, targets)
        return losses["loss"], (losses, fixed)

    @jax.jit
    def compiled(trainable, fixed, slots, inputs, targets):
        (_, (losses, fixed)), gradients = jax.value_and_grad(forward, has_aux=True)(trainable, fixed, inputs, targets)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return losses, trainable, fixed, slots

    def step(inputs, targets):
        groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        losses, *states = compiled(*([v.value for v in group] for group in groups), inputs, targets)
        for group, values in zip(groups, states, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return {name: float(np.asarray(value)) for name, value in losses.items()}

    return step
