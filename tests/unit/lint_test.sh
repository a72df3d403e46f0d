#!/usr/bin/env bash
# The rules of the house are a test like any other.
exec "$(dirname "${BASH_SOURCE[0]}")/../../tools/lint"
