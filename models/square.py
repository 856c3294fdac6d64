"""An activation for networks that are cheap to prove."""

from torch import Tensor, nn


class Square(nn.Module):
    """x squared: one multiplication in a circuit, where ReLU needs a decomposition into digits."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x
