"""The page in the folder: how to start the server and call it."""

from __future__ import annotations

from edge_ovss.emit.origin import Origin
from edge_ovss.emit.triton.served import Served

_PAGE = """\

# {name} on Triton Inference Server

| file | what it is |
|---|---|
| `models/{name}/config.pbtxt` | the model's inputs, outputs, warm-up; backend `{backend}` |
| `models/{name}/1/` | the model |
| `models/{name}/labels-*.txt` | line N, from 0, is the class of label N |
| `models/{name}/warmup/` | the bundle's reference frame, sent before the server says it is ready |
| `client.py`, `client.json` | an example: an image to a label map |
| `emitted.json` | from which bundle, and the sha256 of every file |

The server {note}. Start it from this folder:

```sh
tritonserver --model-repository="$PWD/models"
```

Then send an image:

```sh
pip install "tritonclient[http]" opencv-python-headless
python client.py street.jpg --url localhost:8000 --out street.labels.png
```

The model takes RGB bytes as they are: no resize, no normalization.
"""


def page_text(served: Served, origin: Origin) -> str:
    """Return the page in Markdown."""
    page = _PAGE.format(name=served.name, backend=served.backend, note=served.note)
    return origin.hidden("triton") + page
