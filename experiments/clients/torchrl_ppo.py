"""TorchRL: PPO through its wrapper for PettingZoo environments.

    python -m experiments.clients.torchrl_ppo

The wrapper groups agents by the beginning of their names: `firm_1` and `firm_2` are rows of "firm".
Each has a network of its own, as actor and as critic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torch.distributions import Categorical
from torchrl.collectors import Collector
from torchrl.envs import PettingZooWrapper, SerialEnv, check_env_specs
from torchrl.modules import ProbabilisticActor
from torchrl.objectives import ClipPPOLoss, ValueEstimators

from experiments.clients import market
from mos_agents.learners import Network, Signature
from mos_agents.training.torch_networks import layers_of

GROUP, COPIES, FRAMES, EPOCHS, MINIBATCH = "firm", 4, 512, 6, 128
OBSERVATION, LOGITS, ACTION, VALUE, CHANCE = (
    (GROUP, name) for name in ("observation", "logits", "action", "value", "action_log_prob")
)


def wrapped(learners: Sequence[str] = (market.LEARNER,)) -> PettingZooWrapper:
    """The market as TorchRL has environments."""
    env = market.parallel(learners=learners, infos=False)  # the wrapper takes numbers only
    return PettingZooWrapper(env, categorical_actions=True)


class Bodies(nn.Module):
    """A network for each agent: [..., N, D] to [..., N, outputs]."""

    def __init__(self, agents: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            nn.Sequential(
                nn.Linear(inputs, 64),
                nn.Tanh(),
                nn.Linear(64, 64),
                nn.Tanh(),
                nn.Linear(64, outputs),
            )
            for _ in range(agents)
        )

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        return torch.stack([net(seen[..., i, :]) for i, net in enumerate(self.nets)], dim=-2)


class Learners(NamedTuple):
    """How they act, [B, N, D] to [B, N]; how they learn on; what they have learnt."""

    act: Any
    learn: Callable[[int], None]
    networks: Callable[[], list[Network]]


def begun(learners: Sequence[str], seed: int) -> Learners:
    """PPO that has learnt nothing yet."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    single = market.single()
    check_env_specs(wrapped(learners))
    env = SerialEnv(COPIES, partial(wrapped, learners))
    count, size = len(learners), single.participant.size
    bodies, worths = Bodies(count, size, int(single.action_space.n)), Bodies(count, size, 1)
    actor: Any = ProbabilisticActor(
        TensorDictModule(bodies, [OBSERVATION], [LOGITS]),
        spec=env.action_spec_unbatched,
        in_keys=[LOGITS],
        out_keys=[ACTION],
        distribution_class=Categorical,
        return_log_prob=True,
        log_prob_key=CHANCE,
    )
    critic = TensorDictModule(worths, [OBSERVATION], [VALUE])
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.001, normalize_advantage=True)
    loss.set_keys(
        action=ACTION,
        sample_log_prob=CHANCE,
        value=VALUE,
        reward=(GROUP, "reward"),
        done=(GROUP, "done"),
        terminated=(GROUP, "terminated"),
    )
    loss.make_value_estimator(ValueEstimators.GAE, gamma=0.9, lmbda=0.95)
    adam = torch.optim.Adam(loss.parameters(), 3e-3)

    def act(seen: Any, greedy: bool = False) -> Any:
        with torch.no_grad():
            logits = bodies(torch.as_tensor(seen))
        return (logits.argmax(dim=-1) if greedy else Categorical(logits=logits).sample()).numpy()

    def learn(iterations: int) -> None:
        for batch in Collector(
            env, actor, frames_per_batch=FRAMES, total_frames=iterations * FRAMES
        ):
            with torch.no_grad():
                loss.value_estimator(batch)
            rows = batch.reshape(-1)
            for order in (torch.randperm(FRAMES) for _ in range(EPOCHS)):
                for some in order.split(MINIBATCH):
                    losses = loss(rows[some])
                    adam.zero_grad()
                    sum(
                        losses[name] for name in losses.keys() if name.startswith("loss_")
                    ).backward()
                    adam.step()

    def networks() -> list[Network]:
        return [
            Network(
                Signature.of(single.market_env.market.spec(name)),
                layers_of(net),
                single.choice.head(),
                provenance={"library": "torchrl", "algo": "PPO"},
            )
            for name, net in zip(learners, bodies.nets, strict=True)
        ]

    return Learners(act, learn, networks)


def main(iterations: int = 15, seed: int = 0) -> market.TrainingResult:
    """Train so many iterations of FRAMES ticks; what came of it."""
    act, learn, networks = begun([market.LEARNER], seed)

    def alone(seen: Any, greedy: bool = False) -> Any:
        return act(seen[:, None], greedy)[:, 0]

    before = market.reward(alone)
    learn(iterations)
    return market.TrainingResult(
        "TorchRL PPO, discrete",
        before,
        market.reward(alone),
        market.reward(lambda seen: alone(seen, greedy=True)),
        market.optimum(market.single()),
        networks()[0],
    )


def both(iterations: int = 25, seed: int = 0) -> market.JointTrainingResult:
    """The same of two firms who learn at once, each with networks of its own."""
    act, learn, networks = begun(market.BOTH, seed)
    before = market.reward_of_both(act)
    learn(iterations)
    return market.JointTrainingResult(
        "TorchRL PPO, both firms",
        before,
        market.reward_of_both(act),
        market.reward_of_both(lambda seen: act(seen, greedy=True)),
        market.nash(),
        dict(zip(market.BOTH, networks(), strict=True)),
    )


if __name__ == "__main__":
    print(main())
    print(both())
