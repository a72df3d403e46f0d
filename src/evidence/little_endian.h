#pragma once
// Little-endian fields of segment, key and head files. Pure.
#include <bit>
#include <cstring>

#include "base/bytes.h"

namespace sallyport::evidence {

static_assert(std::endian::native == std::endian::little, "the files are little-endian and so is every supported machine");

template <class T>
void put_le(std::uint8_t* at, T value) { std::memcpy(at, &value, sizeof value); }
template <class T>
T get_le(const std::uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace sallyport::evidence
