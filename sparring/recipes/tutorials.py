"""The five tutorial systems, to the letter. Each function names its source and what decides its outcome.

One thing differs: the tutorials train on all 60,000 digits; here 2,400 of them are validation images, without which
nothing could be decided honestly. `--validation 0` trains on all.
Times are of two CPU cores, measured as `docs/results.md` says.
"""

from sparring.recipes.parts import SGD, Adam, DCGANTanhDiscriminator, DCGANTanhGenerator, MLPDiscriminator, MLPGenerator
from sparring.recipes.recipe import Recipe
from sparring.recipes.settings import VALIDATION_SHARE

DEEP_GENERATOR = MLPGenerator(
    hidden=(256, 512, 1024), negative_slope=0.2, batch_norm_momentum=0.8, initialization="glorot-uniform"
)
"""Of `mlp-sgd` and `mlp-adam`."""


def mlp_128() -> Recipe:
    """L. Pengler, "Practice: Understanding GANs" (2023): the smallest one, two layers each.

    Every step draws 128 digits with replacement and updates D twice, on the real batch and then on the fakes
    (two `train_on_batch` calls are two steps of Adam); G then trains on fresh noise. Adam is Keras' default.
    The text draws and predicts a second batch of fakes that nothing uses; we do not.

    Run: `sparring train mlp-128`.
    """
    adam = Adam(learning_rate=1e-3, epsilon=1e-7, epsilon_hat=True)
    return Recipe(
        name="mlp-128",
        source="L. Pengler, Practice: Understanding GANs (2023)",
        generator=MLPGenerator(hidden=(128,), negative_slope=0.01, initialization="glorot-uniform"),
        discriminator=MLPDiscriminator(hidden=(128,), negative_slope=0.01, initialization="glorot-uniform"),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        latent_size=100,
        batch_size=128,
        data_order="replacement",
        discriminator_updates="separate",
        steps=20_000,
        grid_every=1000,
        grid_rows=4,
        grid_columns=4,
        log_every=50,
        milliseconds_per_step=1.4,
        validation=VALIDATION_SHARE,
        judge_every=1000,
    )


def mlp_sgd() -> Recipe:
    """ "Building a GAN from scratch": the deeper generator with BatchNorm, plain SGD at Keras' default rate .01.

    D's fakes come from `predict`, so from BatchNorm's moving statistics; G trains with those of its batch.
    The text defines its networks and sizes under other names than it uses (`full_model`, `generator`, `r`, `c`,
    `batch_size`) and imports a Dropout that it never applies; what is meant is clear, and is what runs here.
    What it calls an epoch is one batch, so a step.

    Run: `sparring train mlp-sgd`.
    """
    sgd = SGD(learning_rate=0.01)
    return Recipe(
        name="mlp-sgd",
        source="Building a GAN from scratch (2022)",
        generator=DEEP_GENERATOR,
        discriminator=MLPDiscriminator(hidden=(512, 256), negative_slope=0.2, initialization="glorot-uniform"),
        generator_optimizer=sgd,
        discriminator_optimizer=sgd,
        latent_size=100,
        batch_size=32,
        data_order="replacement",
        discriminator_updates="separate",
        steps=10_000,
        grid_every=200,
        grid_rows=5,
        grid_columns=5,
        log_every=25,
        milliseconds_per_step=3.0,
        validation=VALIDATION_SHARE,
        judge_every=500,
    )


def mlp_adam() -> Recipe:
    """daymos, "Simple GAN with Keras" (2018): the generator of `mlp-sgd` against a wider D, both with Adam(2e-4).

    D sees 16 neighbours of the data at a random place mixed with 16 fakes, in one update; G trains on 32. The
    rate falls as lr / (1 + 8e-9 t). The text divides the batch with Python 2's `/`, whole numbers here. It hands
    one Adam object to all models: Keras 2 then shared the update counter, but not the moments, between G and D,
    and Keras 3 refuses. Here each network counts its own updates.

    Run: `sparring train mlp-adam`.
    """
    adam = Adam(learning_rate=2e-4, epsilon=1e-7, epsilon_hat=True, decay=8e-9)
    return Recipe(
        name="mlp-adam",
        source="daymos, Simple Generative Adversarial Network with Keras (2018)",
        generator=DEEP_GENERATOR,
        discriminator=MLPDiscriminator(hidden=(784, 392), negative_slope=0.2, initialization="glorot-uniform"),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        latent_size=100,
        batch_size=32,
        discriminator_batch="half",
        data_order="slice",
        steps=20_000,
        grid_every=200,
        grid_rows=4,
        grid_columns=4,
        log_every=50,
        milliseconds_per_step=4.8,
        validation=VALIDATION_SHARE,
        judge_every=500,
    )


def dcgan_tanh() -> Recipe:
    """A. Ball, "Making up Numbers - DCGAN and the MNIST dataset" (2019): convolutions, tanh everywhere, SGD.

    The data are walked in order, whole batches only, for 100 epochs: 900 batches each, 937 with no validation images. D
    trains once on 64 real and 64 fake images mixed; the noise is normal with standard deviation .3.

    Run: `sparring train dcgan-tanh` (hours; `--steps 9000` is a tenth of it).
    """
    sgd = SGD(learning_rate=5e-4, momentum=0.9, nesterov=True)
    return Recipe(
        name="dcgan-tanh",
        source="A. Ball, Making up Numbers: DCGAN and the MNIST dataset (2019)",
        generator=DCGANTanhGenerator(),
        discriminator=DCGANTanhDiscriminator(),
        generator_optimizer=sgd,
        discriminator_optimizer=sgd,
        latent_size=100,
        latent_std=0.3,
        batch_size=64,
        data_order="sequential",
        steps=90_000,
        grid_every=900,
        grid_rows=4,
        grid_columns=5,
        log_every=5,
        milliseconds_per_step=140.0,
        validation=VALIDATION_SHARE,
        judge_every=900,
    )


def mlp_256() -> Recipe:
    """N. Neto, "A Simple GAN" (2022), after A. Persson: PyTorch's layers, initialisation and Adam(3e-4).

    The data are shuffled each epoch, for 50 epochs: 1,800 batches of 32, 1,875 with no validation images. D trains on
    the mean of both losses; G's update scores the very fakes that D has just trained on, with D's new weights.

    Run: `sparring train mlp-256`.
    """
    adam = Adam(learning_rate=3e-4)
    return Recipe(
        name="mlp-256",
        source="N. Neto, A Simple GAN (2022)",
        generator=MLPGenerator(hidden=(256,), negative_slope=0.01, initialization="torch-uniform"),
        discriminator=MLPDiscriminator(hidden=(128,), negative_slope=0.01, initialization="torch-uniform"),
        generator_optimizer=adam,
        discriminator_optimizer=adam,
        latent_size=64,
        batch_size=32,
        data_order="shuffle",
        generator_noise="reuse",
        steps=90_000,
        grid_every=1800,
        grid_rows=4,
        grid_columns=8,
        log_every=120,
        milliseconds_per_step=0.63,
        validation=VALIDATION_SHARE,
        judge_every=3600,
    )
