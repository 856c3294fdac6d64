"""The activation of networks that are made for proving."""

from torch import Tensor, nn


class Square(nn.Module):
    """Costs a circuit one multiplication, where ReLU costs a decomposition into digits."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x
