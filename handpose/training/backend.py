"""The gradient step, where the TensorFlow and JAX backends differ, as they do in how an optimiser's update runs (`muon`).

Inside `handpose.training.distribute.over` a step gives each device its part of the batch and computes what one device would: batch norm
sees the whole batch, and losses too, which divide by counts over all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

Losses = dict[str, Any]
LossFunction = Callable[[Any, Any], Losses]
TrainStep = Callable[[Any, Any], dict[str, float]]


def gradient_scaled(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Give what trains in the precision that is set: in float16 gradients are scaled, or they would vanish."""
    half = keras.config.dtype_policy().compute_dtype == "float16"
    return keras.optimizers.LossScaleOptimizer(optimizer) if half else optimizer


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

    if tf.distribute.has_strategy():
        return _mirrored_step(model, loss_function, optimizer)

    @tf.function(reduce_retracing=True, autograph=False)
    def compiled(inputs, targets):
        with tf.GradientTape() as tape:
            losses = loss_function(model(inputs, training=True), targets)
            scaled = optimizer.scale_loss(losses["loss"])
        gradients = tape.gradient(scaled, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return losses

    return lambda inputs, targets: {name: float(value) for name, value in compiled(inputs, targets).items()}


def _mirrored_step(model, loss_function, optimizer) -> TrainStep:
    """Make the step under tf.distribute: each device computes its outputs, gathers all, and has the loss of the whole batch.

    Gradients are those of the sum over devices, hence the loss is divided by their number.
    """
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    clipnorm = getattr(optimizer, "inner_optimizer", optimizer).clipnorm
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True

    def gathered(output):
        whole = tf.distribute.get_replica_context().all_gather(output, axis=0)
        return tf.ensure_shape(whole, [None, *output.shape[1:]])  # gathering forgets all of it

    def on_each(inputs, targets):
        context = tf.distribute.get_replica_context()
        devices = context.num_replicas_in_sync
        part = tf.shape(inputs)[0] // devices
        first = context.replica_id_in_sync_group * part
        with tf.GradientTape() as tape:
            outputs = model(inputs[first : first + part], training=True)
            outputs = tf.nest.map_structure(gathered, outputs)
            losses = loss_function(outputs, targets)
            scaled = optimizer.scale_loss(losses["loss"]) / devices
        gradients = context.all_reduce("SUM", tape.gradient(scaled, model.trainable_variables))
        # Keras clips before it sums over the devices. Clipped here, and divided, the gradients pass its clipping as they are.
        if clipnorm is not None:
            gradients = [tf.clip_by_norm(gradient, optimizer.scale_loss(clipnorm)) for gradient in gradients]
        shares = [gradient / devices for gradient in gradients]
        optimizer.apply_gradients(zip(shares, model.trainable_variables, strict=True))
        return losses

    @tf.function(reduce_retracing=True, autograph=False)
    def compiled(inputs, targets):
        losses = strategy.run(on_each, (inputs, targets))
        return {name: strategy.experimental_local_results(value)[0] for name, value in losses.items()}

    return lambda inputs, targets: {name: float(value) for name, value in compiled(inputs, targets).items()}


def _jax_step(model, loss_function, optimizer) -> TrainStep:
    import jax

    everywhere, share_out = jax_layout()

    def forward(trainable, fixed, slots, inputs, targets):
        outputs, fixed = model.stateless_call(trainable, fixed, inputs, training=True)
        losses = loss_function(outputs, targets)
        with keras.StatelessScope(state_mapping=list(zip(optimizer.variables, slots, strict=True))):
            return optimizer.scale_loss(losses["loss"]), (losses, fixed)

    def update(trainable, fixed, slots, inputs, targets):
        differentiated = jax.value_and_grad(forward, has_aux=True)
        (_, (losses, fixed)), gradients = differentiated(trainable, fixed, slots, inputs, targets)
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return losses, trainable, fixed, slots

    compiled = jax.jit(update, out_shardings=everywhere)

    def step(inputs, targets):
        inputs, targets = share_out((inputs, targets))
        groups = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        losses, *states = compiled(*([v.value for v in group] for group in groups), inputs, targets)
        for group, values in zip(groups, states, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return {name: float(np.asarray(value)) for name, value in losses.items()}

    return step


def jax_layout() -> tuple[Any, Callable[[Any], Any]]:
    """Say how JAX lays arrays over the devices of `distribute.over`: the sharding of what is equal on all of them, None where there is one,
    and `share_out(arrays)`, which gives each device its part of a batch's arrays.
    """
    import jax

    distribution = keras.distribution.distribution()
    if distribution is None:
        return None, lambda arrays: arrays

    def part_of(array: np.ndarray):
        layout = distribution.get_data_layout(array.shape).backend_layout
        return jax.make_array_from_callback(array.shape, layout, lambda part: array[part])

    mesh = distribution.device_mesh.backend_mesh
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec()), lambda arrays: jax.tree.map(part_of, arrays)
