// What most unit tests include, compiled once, for folders without Asio. Included by the build, never by name.
#pragma once
#include <gtest/gtest.h>

#include "base/pch.h"
