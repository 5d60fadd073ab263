"""Export the trained autoencoder as one ONNX file.

Input `images`: uint8 [N, height, width, channels], for any N. Outputs: `latents`, float32 [N, latent size], and
`reconstructions`, float32 [N, height, width, channels] in [0, 1]. The same weights give the same bytes.
"""

from stages.shared.runtime.run import run

import argparse
import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from stages.shared.model.autoencoder import Autoencoder
from stages.shared.model.modules import load_modules


class Exported(nn.Module):
    """PyTorch module to export: from images to latents and reconstructions."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.size = autoencoder.size
        self.encoder, self.decoder = load_modules(autoencoder.encoder), load_modules(autoencoder.decoder)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        latents = self.encoder(images.flatten(1) / 255)
        return latents, self.decoder(latents).unflatten(1, self.size)


def export(autoencoder: Autoencoder) -> onnx.ModelProto:
    """Export to ONNX; source paths, which PyTorch writes into the nodes, are removed."""
    images = torch.zeros(2, *autoencoder.size, dtype=torch.uint8)
    with warnings.catch_warnings(action="ignore"):  # PyTorch warns about its exporter
        program = torch.onnx.export(
            Exported(autoencoder).eval(),
            (images,),
            input_names=["images"],
            output_names=["latents", "reconstructions"],
            dynamic_shapes={"images": {0: torch.export.Dim("N")}},
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    del model.metadata_props[:]
    for item in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del item.metadata_props[:]
    return model


def main() -> None:
    """Write the file named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.to_onnx", description=__doc__)
    parser.add_argument("output", type=Path)
    output = parser.parse_args().output.expanduser()
    logging.disable(logging.WARNING)  # PyTorch's exporter logs optional packages that are missing
    onnx.save(export(Autoencoder.read()), output)
    print(f"onnx: {output}, {output.stat().st_size / 1e6:.1f} MB: images to latents and reconstructions")


if __name__ == "__main__":
    run(main)
