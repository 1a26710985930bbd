"""The gradient step of networks that call one another, the one place where the TensorFlow and JAX backends differ.

Inside `handpose.training.distribute.over` each device gets its part of the batch. Losses are means over pictures, and no network here mixes
pictures, so the mean over the devices is what one device would compute.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import keras
import numpy as np

from geocongan.losses import Call
from handpose.training.backend import jax_layout

LossFunction = Callable[[Call, dict], tuple[dict, dict]]
Step = Callable[[dict], tuple[dict[str, float], dict[str, np.ndarray]]]


def make_step(
    networks: Mapping[str, keras.Model], trained: Sequence[str], losses: LossFunction, optimizer: keras.optimizers.Optimizer
) -> Step:  # fmt: skip
    """Compile `step(batch) -> (losses as floats, pictures)`, which changes the networks named in `trained` alone.

    `losses(call, batch)` gives a dict that holds "loss" and a dict of pictures. No network here has a state beside its weights.
    Raises ValueError on a backend without a step.
    """
    optimizer.build([v for name in trained for v in networks[name].trainable_variables])
    makers = {"tensorflow": _tensorflow_step, "jax": _jax_step}
    if keras.backend.backend() not in makers:
        raise ValueError(f"training runs on the tensorflow and jax backends, not on {keras.backend.backend()!r}")
    compiled = makers[keras.backend.backend()](networks, trained, losses, optimizer)

    def step(batch: dict) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        values, pictures = compiled(batch)
        return {name: float(np.asarray(value)) for name, value in values.items()}, {
            name: np.asarray(picture) for name, picture in pictures.items()
        }

    return step


def _tensorflow_step(networks, trained, losses, optimizer):
    import tensorflow as tf

    variables = [v for name in trained for v in networks[name].trainable_variables]
    strategy = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
    devices = strategy.num_replicas_in_sync if strategy else 1

    def update(batch):
        with tf.GradientTape() as tape:
            values, pictures = losses(lambda name, x: networks[name](x, training=True), batch)
            scaled = optimizer.scale_loss(values["loss"]) / devices  # gradients are summed over the devices
        optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables, strict=True))
        return values, pictures

    def on_each(batch):
        context = tf.distribute.get_replica_context()
        number = context.replica_id_in_sync_group
        part = {name: tf.reshape(array, (devices, -1, *array.shape[1:]))[number] for name, array in batch.items()}
        values, pictures = update(part)
        return context.all_reduce("MEAN", values), {name: context.all_gather(p, 0) for name, p in pictures.items()}

    @tf.function(reduce_retracing=True, autograph=False)
    def compiled(batch):
        if strategy is None:
            return update(batch)
        found = strategy.run(on_each, (batch,))
        return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], found)

    return compiled


def _jax_step(networks, trained, losses, optimizer):
    import jax

    everywhere, share_out = jax_layout()

    def forward(weights, others, slots, batch):
        everything = {**others, **dict(zip(trained, weights, strict=True))}

        def call(name, x):
            model = networks[name]
            return model.stateless_call(everything[name], model.non_trainable_variables, x, training=True)[0]

        values, pictures = losses(call, batch)
        with keras.StatelessScope(state_mapping=list(zip(optimizer.variables, slots, strict=True))):
            return optimizer.scale_loss(values["loss"]), (values, pictures)

    @partial(jax.jit, out_shardings=everywhere)
    def compiled(weights, others, slots, batch):
        (_, aux), gradients = jax.value_and_grad(forward, has_aux=True)(weights, others, slots, batch)
        flat, tree = jax.tree.flatten(weights)
        flat, slots = optimizer.stateless_apply(slots, jax.tree.leaves(gradients), flat)
        return aux, jax.tree.unflatten(tree, flat), slots

    def step(batch):
        batch = share_out(batch)
        others = {name: [v.value for v in model.trainable_variables] for name, model in networks.items()}
        weights = [others.pop(name) for name in trained]  # a list: JAX would sort the names of a dict
        slots = [v.value for v in optimizer.variables]
        aux, weights, slots = compiled(weights, others, slots, batch)
        for name, arrays in zip(trained, weights, strict=True):
            for variable, array in zip(networks[name].trainable_variables, arrays, strict=True):
                variable.assign(array)
        for variable, array in zip(optimizer.variables, slots, strict=True):
            variable.assign(array)
        return aux

    return step
