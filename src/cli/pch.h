// net/pch.h and the parser of the command line, compiled once. Included by the build, never by name.
#pragma once
#include "net/pch.h"

#include <CLI/CLI.hpp>
