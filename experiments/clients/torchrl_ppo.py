"""TorchRL: PPO through its wrapper for PettingZoo environments.

    python -m experiments.clients.torchrl_ppo

The wrapper groups agents by the beginning of their names: `firm_1` is the first of "firm".
"""

from __future__ import annotations

from typing import Any

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
from mos_agents.training.torch_layers import layers_of

GROUP, COPIES, FRAMES, EPOCHS, MINIBATCH = "firm", 4, 512, 6, 128
OBSERVATION, LOGITS, ACTION, VALUE, CHANCE = (
    (GROUP, name) for name in ("observation", "logits", "action", "value", "action_log_prob")
)


def wrapped() -> PettingZooWrapper:
    """The market as TorchRL has environments."""
    return PettingZooWrapper(market.parallel(), categorical_actions=True)


def body(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs)
    )


def main(iterations: int = 15, seed: int = 0) -> market.Learnt:
    """Train so many iterations of FRAMES ticks; what came of it."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    single = market.single()
    check_env_specs(wrapped())
    env = SerialEnv(COPIES, wrapped)
    net = body(single.seat.size, int(single.action_space.n))
    actor: Any = ProbabilisticActor(
        TensorDictModule(net, [OBSERVATION], [LOGITS]), spec=env.action_spec_unbatched,
        in_keys=[LOGITS], out_keys=[ACTION], distribution_class=Categorical, return_log_prob=True,
        log_prob_key=CHANCE,
    )  # fmt: skip
    critic = TensorDictModule(body(single.seat.size, 1), [OBSERVATION], [VALUE])
    loss = ClipPPOLoss(actor, critic, entropy_coeff=0.001, normalize_advantage=True)
    loss.set_keys(
        action=ACTION, sample_log_prob=CHANCE, value=VALUE, reward=(GROUP, "reward"),
        done=(GROUP, "done"), terminated=(GROUP, "terminated"),
    )  # fmt: skip
    loss.make_value_estimator(ValueEstimators.GAE, gamma=0.9, lmbda=0.95)
    adam = torch.optim.Adam(loss.parameters(), 3e-3)

    def act(seen: Any, greedy: bool = False) -> Any:
        with torch.no_grad():
            logits = net(torch.as_tensor(seen))
        return (logits.argmax(dim=1) if greedy else Categorical(logits=logits).sample()).numpy()

    before = market.reward(act)
    for batch in Collector(
        env, actor, frames_per_batch=FRAMES, total_frames=iterations * FRAMES
    ):  # fmt: skip
        with torch.no_grad():
            loss.value_estimator(batch)
        rows = batch.reshape(-1)
        for order in (torch.randperm(FRAMES) for _ in range(EPOCHS)):
            for some in order.split(MINIBATCH):
                told = loss(rows[some])
                adam.zero_grad()
                sum(told[name] for name in told.keys() if name.startswith("loss_")).backward()
                adam.step()
    network = Network(
        Signature.of(single.seat), layers_of(net), single.choice.head(),
        provenance={"library": "torchrl", "algo": "PPO"},
    )  # fmt: skip
    return market.Learnt(
        "TorchRL PPO, discrete", before, market.reward(act),
        market.reward(lambda seen: act(seen, greedy=True)), market.optimum(single), network,
    )  # fmt: skip


if __name__ == "__main__":
    print(main())
