// What most unit tests include, compiled once. Included by the build, never by name.
#pragma once
#include <gtest/gtest.h>

#include "net/pch.h"
