"""THE PYTORCH REFERENCE: `mlp-256` made of PyTorch's own layers, loss and optimiser, in float64.

Sizes and rates stand here as the text gives them and are not read from our recipe.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from agreement import Array, Arrays, Batch, Record, Report
from torch import Tensor, nn

OptimizerOf = Callable[[Sequence[Tensor]], torch.optim.Optimizer]

LAYERS = {"0": "hidden.0", "2": "output"}
"""The layers with weights, by their place in the Sequential, and our names for them."""


@dataclass(frozen=True)
class Models:
    """Both networks and their optimisers."""

    generator: nn.Sequential
    discriminator: nn.Sequential
    generator_optimizer: torch.optim.Optimizer
    discriminator_optimizer: torch.optim.Optimizer


def build(seed: int) -> Models:
    """The text's networks with PyTorch's own first weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        generator = nn.Sequential(nn.Linear(64, 256), nn.LeakyReLU(0.01), nn.Linear(256, 784), nn.Tanh()).double()
        discriminator = nn.Sequential(nn.Linear(784, 128), nn.LeakyReLU(0.01), nn.Linear(128, 1), nn.Sigmoid()).double()
    return Models(
        generator,
        discriminator,
        torch.optim.Adam(generator.parameters(), lr=3e-4),
        torch.optim.Adam(discriminator.parameters(), lr=3e-4),
    )


def train(batches: Sequence[Batch]) -> Record:
    """Iterations on those batches; the generator's own noise goes unused."""
    models = build(seed=0)
    reports, snapshots = [], [arrays_of(models)]
    for batch in batches:
        reports.append(iterate(models, batch))
        snapshots.append(arrays_of(models))
    return Record(batches, reports, snapshots)


def iterate(models: Models, batch: Batch) -> Report:
    """One update of the discriminator, then one of the generator on the same fakes."""
    criterion = nn.BCELoss()
    fakes = models.generator(torch.from_numpy(batch.discriminator_noise))
    on_real = models.discriminator(torch.from_numpy(batch.real).flatten(1))
    on_fakes = models.discriminator(fakes)
    d_loss = (criterion(on_real, torch.ones_like(on_real)) + criterion(on_fakes, torch.zeros_like(on_fakes))) / 2
    models.discriminator_optimizer.zero_grad()
    d_loss.backward(retain_graph=True)
    models.discriminator_optimizer.step()

    judged = models.discriminator(fakes)
    g_loss = criterion(judged, torch.ones_like(judged))
    models.generator_optimizer.zero_grad()
    g_loss.backward()
    models.generator_optimizer.step()

    hits = torch.cat([on_real > 0.5, on_fakes <= 0.5]).double().mean()
    return {"d_loss": d_loss.item(), "g_loss": g_loss.item(), "accuracy": hits.item()}


def arrays_of(models: Models) -> Arrays:
    """All weights by our names; a Linear's weight is our kernel turned round."""
    arrays = {}
    for network, model in (("generator", models.generator), ("discriminator", models.discriminator)):
        for place, name in LAYERS.items():
            layer = model.get_submodule(place)
            arrays[f"{network}.{name}.kernel"] = _values(layer.get_parameter("weight")).T
            arrays[f"{network}.{name}.bias"] = _values(layer.get_parameter("bias"))
    return arrays


def outputs(model: nn.Module, inputs: Array) -> Array:
    """What the network makes of the inputs, flattened: (N, features)."""
    return _values(model(torch.from_numpy(inputs).flatten(1)))


def updates(optimizer_of: OptimizerOf, gradients: Sequence[Array]) -> list[Array]:
    """What a PyTorch optimiser adds to the weights for each gradient in turn."""
    weights = torch.zeros(gradients[0].shape, dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_of([weights])
    added = []
    for gradient in gradients:
        weights.data.zero_()
        weights.grad = torch.from_numpy(gradient)
        optimizer.step()
        added.append(_values(weights))
    return added


def parameter_count(model: nn.Module) -> int:
    """Numbers in a network."""
    return sum(parameter.numel() for parameter in model.parameters())


def _values(tensor: Tensor) -> Array:
    return np.array(tensor.detach().numpy())
