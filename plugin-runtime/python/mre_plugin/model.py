# SPDX-License-Identifier: Apache-2.0
"""The Model that the Profile picked, and a small client of the Open Inference Protocol over HTTP."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from .frames import numpy

# The protocol's names, and numpy's.
_DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
}


class ModelError(RuntimeError):
    """The model server refused a call, or could not be reached."""


@dataclass(frozen=True)
class Tensor:
    name: str
    datatype: str
    shape: tuple
    data: list  # flat, row by row

    @staticmethod
    def of(name, value, datatype=None):
        """A tensor of nested lists or of an array. Without a datatype, floats are FP32 and integers INT64."""
        if hasattr(value, "dtype"):
            kinds = {dtype: kind for kind, dtype in _DTYPES.items()}
            datatype = datatype or kinds.get(str(value.dtype))
            if datatype is None:
                raise TypeError(f"the tensor {name} has the dtype {value.dtype}, which the protocol does not know")
            return Tensor(name, datatype, tuple(value.shape), value.reshape(-1).tolist())
        shape, flat = _flatten(value, name)
        if datatype is None:
            if all(isinstance(v, bool) for v in flat):
                datatype = "BOOL"
            elif all(isinstance(v, int) for v in flat):
                datatype = "INT64"
            else:
                datatype = "BYTES" if any(isinstance(v, str) for v in flat) else "FP32"
        return Tensor(name, datatype, shape, flat)

    def array(self):
        """The tensor as a numpy array."""
        if numpy is None:
            raise ModelError(f"the tensor {self.name} as an array needs numpy; data holds its values, row by row")
        return numpy.array(self.data, dtype=_DTYPES.get(self.datatype, "object")).reshape(self.shape)


@dataclass(frozen=True)
class Model:
    name: str  # of OpenInference: by which the server knows the model
    protocol: str  # Plain or OpenInference
    address: str  # of OpenInference: the server's, without /v2
    timeout: Any = None

    def infer(self, *inputs, outputs=None, parameters=None):
        """Run the model on Tensors. The answer is a dict of Tensors by name."""
        if self.protocol != "OpenInference":
            raise ModelError(
                f"the Model {self.name} is a plain address; only openInference Models can be asked to infer"
            )
        body: dict = {"inputs": [_wire(t) for t in inputs]}
        if outputs:
            body["outputs"] = [{"name": name} for name in outputs]
        if parameters:
            body["parameters"] = parameters
        request = urllib.request.Request(
            f"{self.address.rstrip('/')}/v2/models/{quote(self.name, safe='')}/infer",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as e:
            with e:
                said = e.read(4096).decode(errors="replace").strip()
                raise ModelError(f"the Model {self.name} answers {e.code}: {said}") from None
        except (urllib.error.URLError, TimeoutError) as e:
            raise ModelError(f"the Model {self.name} cannot be reached: {getattr(e, 'reason', e)}") from None
        found = {}
        for t in answer.get("outputs", []):
            flat = _flatten(t["data"], t["name"])[1]
            found[t["name"]] = Tensor(t["name"], t["datatype"], tuple(t["shape"]), flat)
        return found


def _wire(t):
    return {"name": t.name, "datatype": t.datatype, "shape": list(t.shape), "data": t.data}


def _flatten(value, name):
    if not isinstance(value, (list, tuple)):
        return (), [value]
    shape, flat = None, []
    for part in value:
        inner, values = _flatten(part, name)
        if shape is None:
            shape = inner
        elif shape != inner:
            raise ValueError(f"the tensor {name} is ragged: a part has the shape {inner}, one before it {shape}")
        flat += values
    return (len(value), *(shape or ())), flat
