"""THE PYTORCH PEER: the five systems in PyTorch, as a reader would write them, and each as one compiled step.

python torch_peer.py RECIPE IMAGES.npy [--how eager|loader|compiled|eager-bf16|compiled-bf16]

- `eager`: modules, losses and optimisers of `torch.nn` and `torch.optim` in a Python loop. The images lie in memory as
  one scaled float32 tensor.
- `loader`, for `mlp-256` only: the same, with a `DataLoader` over a data set that scales each image when it is fetched,
  as the text has it (torchvision's transforms also make a PIL image of each; that is left out, in PyTorch's favour).
- `compiled`: both updates as one function of all weights, its gradients by `torch.func.grad`, through `torch.compile`:
  one graph without breaks, the optimisers in it.
- `eager-bf16`, `compiled-bf16`: the networks under `torch.autocast` in bfloat16. Not the same arithmetic as the others.

Threads and all else are PyTorch's own defaults.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import worker
from torch import Tensor, nn
from torch.nn import functional

Run = Callable[[int], worker.Losses]
OptimizerOf = Callable[[Any], torch.optim.Optimizer]

# ------------------------------------------------------------------------------------------------ networks


def dense_generator(latent: int, widths: tuple[int, ...], slope: float, batch_norm: bool) -> nn.Sequential:
    """The latent, the widths, 784. Keras' momentum .8 is .2 here."""
    model = nn.Sequential()
    for inputs, outputs in zip((latent, *widths), widths, strict=False):
        model.extend([nn.Linear(inputs, outputs), nn.LeakyReLU(slope)])
        if batch_norm:
            model.append(nn.BatchNorm1d(outputs, eps=1e-3, momentum=0.2))
    return model.extend([nn.Linear(widths[-1], 784), nn.Tanh()])


def dense_discriminator(widths: tuple[int, ...], slope: float) -> nn.Sequential:
    """784, the widths, 1."""
    model = nn.Sequential()
    for inputs, outputs in zip((784, *widths), widths, strict=False):
        model.extend([nn.Linear(inputs, outputs), nn.LeakyReLU(slope)])
    return model.extend([nn.Linear(widths[-1], 1), nn.Sigmoid()])


def convolutional_generator() -> nn.Sequential:
    """Two dense layers, then twice up-sampling and a 5x5 convolution, all tanh."""
    return nn.Sequential(
        *(nn.Linear(100, 1024), nn.Tanh()),
        *(nn.Linear(1024, 6272), nn.BatchNorm1d(6272, eps=1e-3, momentum=0.01), nn.Tanh()),
        nn.Unflatten(1, (128, 7, 7)),
        *(nn.Upsample(scale_factor=2), nn.Conv2d(128, 64, 5, padding="same"), nn.Tanh()),
        *(nn.Upsample(scale_factor=2), nn.Conv2d(64, 1, 5, padding="same"), nn.Tanh()),
        nn.Flatten(),
    )


def convolutional_discriminator() -> nn.Sequential:
    """Twice a 5x5 convolution and pooling, then two dense layers, all tanh."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        *(nn.Conv2d(1, 64, 5, padding="same"), nn.Tanh(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 5), nn.Tanh(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(3200, 1024), nn.Tanh()),
        *(nn.Linear(1024, 1), nn.Sigmoid()),
    )


# ------------------------------------------------------------------------------------------------ systems


@dataclass(frozen=True)
class System:
    """What a text chose."""

    generator: Callable[[], nn.Sequential]
    discriminator: Callable[[], nn.Sequential]
    optimizer: str
    """A name in `OPTIMIZERS`."""
    order: str
    """How real images are drawn: `any`, `neighbours`, `in order` or `shuffled`."""
    batch: int
    """Images in the generator's update."""
    real: int
    """Real images, and as many fakes, in the discriminator's."""
    separate: bool = False
    """Two updates of the discriminator, not one."""
    reuse: bool = False
    """The generator's update takes the fakes that the discriminator saw."""
    latent: int = 100
    latent_std: float = 1.0


SYSTEMS = {
    "mlp-128": System(
        lambda: dense_generator(100, (128,), 0.01, batch_norm=False),
        lambda: dense_discriminator((128,), 0.01),
        optimizer="adam-1e-3",
        order="any",
        batch=128,
        real=128,
        separate=True,
    ),
    "mlp-sgd": System(
        lambda: dense_generator(100, (256, 512, 1024), 0.2, batch_norm=True),
        lambda: dense_discriminator((512, 256), 0.2),
        optimizer="sgd",
        order="any",
        batch=32,
        real=32,
        separate=True,
    ),
    "mlp-adam": System(
        lambda: dense_generator(100, (256, 512, 1024), 0.2, batch_norm=True),
        lambda: dense_discriminator((784, 392), 0.2),
        optimizer="adam-2e-4",
        order="neighbours",
        batch=32,
        real=16,
    ),
    "dcgan-tanh": System(
        convolutional_generator,
        convolutional_discriminator,
        optimizer="nesterov",
        order="in order",
        batch=64,
        real=64,
        latent_std=0.3,
    ),
    "mlp-256": System(
        lambda: dense_generator(64, (256,), 0.01, batch_norm=False),
        lambda: dense_discriminator((128,), 0.01),
        optimizer="adam-3e-4",
        order="shuffled",
        batch=32,
        real=32,
        reuse=True,
        latent=64,
    ),
}


@dataclass(frozen=True)
class Adam:
    """Adam by its rate; the falling rate of `mlp-adam` stays within a hundred-millionth of it."""

    rate: float
    epsilon: float

    def torch(self, parameters: Any) -> torch.optim.Optimizer:
        """PyTorch's own."""
        return torch.optim.Adam(parameters, lr=self.rate, eps=self.epsilon)


@dataclass(frozen=True)
class SGD:
    """Gradient descent, with Nesterov's momentum where one is given."""

    rate: float
    momentum: float = 0.0

    def torch(self, parameters: Any) -> torch.optim.Optimizer:
        """PyTorch's own."""
        return torch.optim.SGD(parameters, lr=self.rate, momentum=self.momentum, nesterov=self.momentum > 0)


OPTIMIZERS: dict[str, Adam | SGD] = {
    "adam-1e-3": Adam(1e-3, 1e-7),
    "adam-2e-4": Adam(2e-4, 1e-7),
    "adam-3e-4": Adam(3e-4, 1e-8),
    "sgd": SGD(0.01),
    "nesterov": SGD(5e-4, momentum=0.9),
}


def batches_of(order: str, images: Tensor, size: int) -> Iterator[Tensor]:
    """Real batches without end."""
    place, permutation = 0, torch.randperm(len(images))
    while True:
        if order == "any":
            yield images[torch.randint(len(images), (size,))]
        elif order == "neighbours":
            start = int(torch.randint(len(images) - size, ()))
            yield images[start : start + size]
        else:
            rows = slice(place * size, (place + 1) * size)
            yield images[permutation[rows]] if order == "shuffled" else images[rows]
            place += 1
            if place == len(images) // size:
                place, permutation = 0, torch.randperm(len(images))


class Fetched(torch.utils.data.Dataset):
    """Images that are scaled one by one when they are fetched."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = torch.from_numpy(pixels)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return (self.pixels[i].float().div(255) - 0.5) / 0.5, 0


def loaded_batches(pixels: np.ndarray, size: int) -> Iterator[Tensor]:
    """Shuffled batches of a `DataLoader` without end."""
    loader = torch.utils.data.DataLoader(Fetched(pixels), batch_size=size, shuffle=True)
    while True:
        for real, _ in loader:
            yield real.view(-1, 784)


# ------------------------------------------------------------------------------------------------ eager


def _precision(bf16: bool) -> contextlib.AbstractContextManager[Any]:
    """Products and convolutions inside are in bfloat16, or as they are."""
    return torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else contextlib.nullcontext()


def eager_run(system: System, nets: dict[str, nn.Sequential], batches: Iterator[Tensor], bf16: bool) -> Run:
    """Modules, losses and optimisers in a Python loop."""
    generator, discriminator = nets["generator"], nets["discriminator"]
    optimizer = OPTIMIZERS[system.optimizer]
    g_optimizer, d_optimizer = optimizer.torch(generator.parameters()), optimizer.torch(discriminator.parameters())
    has_batch_norm = any(isinstance(layer, nn.BatchNorm1d) for layer in generator)

    def network(model: nn.Sequential, inputs: Tensor) -> Tensor:
        with _precision(bf16):
            return model(inputs).float()

    def learn(loss: Tensor, network: nn.Sequential, optimizer: torch.optim.Optimizer, keep: bool = False) -> None:
        network.zero_grad()
        loss.backward(retain_graph=keep)
        optimizer.step()

    def loss_of(images: Tensor, real: bool) -> Tensor:
        judged = network(discriminator, images)
        return functional.binary_cross_entropy(judged, torch.ones_like(judged) if real else torch.zeros_like(judged))

    def latents(rows: int) -> Tensor:
        return system.latent_std * torch.randn(rows, system.latent)

    def fakes_for_discriminator() -> Tensor:
        if system.reuse:
            return network(generator, latents(system.real))
        generator.eval()  # as `predict` in Keras
        with torch.no_grad():
            return network(generator, latents(system.real))

    def step(real: Tensor) -> tuple[Tensor, Tensor]:
        fakes = fakes_for_discriminator()
        if has_batch_norm:
            generator.train()
        if system.separate:
            on_real = loss_of(real, True)
            learn(on_real, discriminator, d_optimizer)
            on_fakes = loss_of(fakes, False)
            learn(on_fakes, discriminator, d_optimizer)
            d_loss = (on_real + on_fakes) / 2
        elif system.reuse:
            d_loss = (loss_of(real, True) + loss_of(fakes, False)) / 2
            learn(d_loss, discriminator, d_optimizer, keep=True)
        else:
            judged = network(discriminator, torch.cat([real, fakes]))
            labels = torch.cat([torch.ones(len(real), 1), torch.zeros(len(fakes), 1)])
            d_loss = functional.binary_cross_entropy(judged, labels)
            learn(d_loss, discriminator, d_optimizer)
        g_loss = loss_of(fakes if system.reuse else network(generator, latents(system.batch)), True)
        learn(g_loss, generator, g_optimizer)
        return d_loss, g_loss

    def run(steps: int) -> worker.Losses:
        for _ in range(steps):
            d_loss, g_loss = step(next(batches))
        return d_loss.item(), g_loss.item()

    return run


# ------------------------------------------------------------------------------------------------ compiled

Weights = dict[str, Tensor]


def compiled_run(system: System, nets: dict[str, nn.Sequential], batches: Iterator[Tensor], bf16: bool) -> Run:
    """The whole step as one function of all that changes, compiled; the random numbers are drawn outside."""
    generator, discriminator = nets["generator"], nets["discriminator"]
    optimizer = OPTIMIZERS[system.optimizer]
    g_weights, d_weights = _values(generator.named_parameters()), _values(discriminator.named_parameters())
    statistics = {name: value for name, value in generator.named_buffers() if value.is_floating_point()}
    g_moments, d_moments = _moments(optimizer, g_weights), _moments(optimizer, d_weights)

    def bce(judged: Tensor, real: bool) -> Tensor:
        """From logits, which is fewer operations than a sigmoid and its logarithm."""
        return functional.softplus(-judged if real else judged).mean()

    def judge(weights: Weights, images: Tensor) -> Tensor:
        with _precision(bf16):
            return _forward(discriminator[:-1], weights, {}, images, training=True)[0]

    def make(weights: Weights, latents: Tensor, training: bool) -> tuple[Tensor, Weights]:
        with _precision(bf16):
            return _forward(generator, weights, statistics, latents, training=training)

    def loss_on_real(weights: Weights, real: Tensor, fakes: Tensor) -> Tensor:
        return bce(judge(weights, real), True)

    def loss_on_fakes(weights: Weights, real: Tensor, fakes: Tensor) -> Tensor:
        return bce(judge(weights, fakes), False)

    def loss_on_both(weights: Weights, real: Tensor, fakes: Tensor) -> Tensor:
        judged = judge(weights, torch.cat([real, fakes]))
        return (bce(judged[: len(real)], True) + bce(judged[len(real) :], False)) / 2

    def judged_real(images: Tensor) -> Tensor:
        return bce(judge(d_weights, images), True)

    objectives = (loss_on_real, loss_on_fakes) if system.separate else (loss_on_both,)

    def step(real: Tensor, first: Tensor, second: Tensor, corrections: Tensor) -> tuple[Tensor, Tensor]:
        images, pull_back, moved = torch.func.vjp(
            lambda weights: make(weights, second, training=True), g_weights, has_aux=True
        )
        fakes = images if system.reuse else make(g_weights, first, training=False)[0]
        d_losses = []
        for i, objective in enumerate(objectives):
            gradients, loss = torch.func.grad_and_value(objective)(d_weights, real, fakes)
            _update(optimizer, d_weights, gradients, d_moments, corrections[i])
            d_losses.append(loss)
        image_gradients, g_loss = torch.func.grad_and_value(judged_real)(images)
        (gradients,) = pull_back(image_gradients)
        _update(optimizer, g_weights, gradients, g_moments, corrections[-1])
        for name, value in moved.items():
            statistics[name].copy_(value)
        return sum(d_losses) / len(d_losses), g_loss

    compiled = torch.compile(step, fullgraph=True)
    done = 0

    def run(steps: int) -> worker.Losses:
        nonlocal done
        for _ in range(steps):
            done += 1
            updates = [len(objectives) * (done - 1) + i + 1 for i in range(len(objectives))] + [done]
            corrections = torch.tensor([[1 - 0.9**t, (1 - 0.999**t) ** 0.5] for t in updates])
            real = next(batches)
            first = system.latent_std * torch.randn(system.real, system.latent)
            second = first if system.reuse else system.latent_std * torch.randn(system.batch, system.latent)
            with torch.no_grad():
                d_loss, g_loss = compiled(real, first, second, corrections)
        return d_loss.item(), g_loss.item()

    return run


def _values(named: Any) -> Weights:
    """The very tensors of a module, without the machinery of gradients."""
    return {name: value.detach() for name, value in named}


def _moments(optimizer: Adam | SGD, weights: Weights) -> list[Weights]:
    count = 2 if isinstance(optimizer, Adam) else int(optimizer.momentum > 0)
    return [{name: torch.zeros_like(value) for name, value in weights.items()} for _ in range(count)]


def _update(
    optimizer: Adam | SGD, weights: Weights, gradients: Weights, moments: list[Weights], correction: Tensor
) -> None:
    """Change the weights in place, as PyTorch's optimisers do."""
    for name, weight in weights.items():
        gradient = gradients[name]
        if isinstance(optimizer, Adam):
            mean = moments[0][name].lerp_(gradient, 0.1)
            square = moments[1][name].lerp_(gradient * gradient, 0.001)
            weight.sub_(optimizer.rate / correction[0] * mean / (square.sqrt() / correction[1] + optimizer.epsilon))
        elif moments:
            velocity = moments[0][name].mul_(optimizer.momentum).add_(gradient)
            weight.sub_(optimizer.rate * (gradient + optimizer.momentum * velocity))
        else:
            weight.sub_(optimizer.rate * gradient)


def _forward(
    model: nn.Sequential, weights: Weights, statistics: Weights, x: Tensor, training: bool
) -> tuple[Tensor, Weights]:
    """The network with those weights, and BatchNorm's statistics moved on where it trains; nothing changes in place."""
    moved = dict(statistics)
    for i, layer in enumerate(model):
        own = {name.partition(".")[2]: value for name, value in weights.items() if name.startswith(f"{i}.")}
        if isinstance(layer, nn.BatchNorm1d):
            x = x.float()
            mean, variance = statistics[f"{i}.running_mean"], statistics[f"{i}.running_var"]
            if training:
                mean_now, variance_now = x.mean(0), x.var(0, correction=0)
                moved[f"{i}.running_mean"] = torch.lerp(mean, mean_now, layer.momentum)
                moved[f"{i}.running_var"] = torch.lerp(variance, variance_now, layer.momentum)
                mean, variance = mean_now, variance_now
            x = (x - mean) * (torch.rsqrt(variance + layer.eps) * own["weight"]) + own["bias"]
        else:
            x = torch.func.functional_call(layer, own, (x,)) if own else layer(x)
    return x.float(), moved


# ------------------------------------------------------------------------------------------------ the worker

HOWS = ("eager", "loader", "compiled", "eager-bf16", "compiled-bf16")


def make(recipe: str, how: str, pixels: np.ndarray) -> worker.Loop:
    """The loop of that recipe, run that way, on those images (N, 28, 28)."""
    system = SYSTEMS[recipe]
    nets = {"generator": system.generator(), "discriminator": system.discriminator()}
    if how == "loader":
        batches = loaded_batches(pixels, system.real)
    else:
        images = torch.from_numpy(pixels).float().div(127.5).sub(1).view(-1, 784)
        batches = batches_of(system.order, images, system.real)
    make_run = compiled_run if how.startswith("compiled") else eager_run
    run = make_run(system, nets, batches, bf16=how.endswith("bf16"))

    def arrays() -> worker.Arrays:
        return {
            f"{network}.{name}": value.detach().numpy().copy()
            for network, model in nets.items()
            for name, value in model.named_parameters()
        }

    return worker.Loop(run, arrays, {"torch": torch.__version__, "threads": str(torch.get_num_threads())})


def main() -> None:
    """Serve the loop that the words name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=SYSTEMS)
    parser.add_argument("images", help="an .npy file, uint8, N x 28 x 28")
    parser.add_argument("--how", choices=HOWS, default="eager")
    given = parser.parse_args()
    if given.how == "loader" and given.recipe != "mlp-256":
        parser.error("only the text of mlp-256 has a DataLoader")
    warm_up = 5 if given.recipe == "dcgan-tanh" else 50
    worker.serve(lambda pixels: make(given.recipe, given.how, pixels), given.images, warm_up)


if __name__ == "__main__":
    main()
