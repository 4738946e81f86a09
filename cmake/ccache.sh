#!/bin/sh
# The compiler through ccache, so that another checkout, and what uses precompiled headers, is found again.
here=$(cd "$(dirname "$0")/.." && pwd)
CCACHE_BASEDIR=$here CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros exec ccache "$@"
