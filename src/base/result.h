#pragma once
// Result<T>: a value or an Error. TRY and CO_TRY name the value or return the error:
//   TRY(auto frame, decode(bytes));            in a function
//   CO_TRY(auto frame, co_await read_frame()); in a coroutine
#include <expected>

#include "base/error.h"

namespace sallyport {

template <class T>
using Result = std::expected<T, Error>;

/// An error result: `return fail(ErrorKind::Malformed, "…")`.
inline std::unexpected<Error> fail(ErrorKind kind, std::string what) {
  return std::unexpected<Error>(Error(kind, std::move(what)));
}

}  // namespace sallyport

#define SALLYPORT_CONCAT2(a, b) a##b
#define SALLYPORT_CONCAT(a, b) SALLYPORT_CONCAT2(a, b)
#define SALLYPORT_TRY(tmp, name, expr, ret)            \
  auto tmp = (expr);                                   \
  if (!tmp) ret std::unexpected(std::move(tmp).error()); \
  name = std::move(*tmp)
#define TRY(name, expr) SALLYPORT_TRY(SALLYPORT_CONCAT(try_, __LINE__), name, expr, return)
#define CO_TRY(name, expr) SALLYPORT_TRY(SALLYPORT_CONCAT(try_, __LINE__), name, expr, co_return)
#define TRY_VOID(expr) \
  if (auto try_void = (expr); !try_void) return std::unexpected(std::move(try_void).error())
#define CO_TRY_VOID(expr) \
  if (auto try_void = (expr); !try_void) co_return std::unexpected(std::move(try_void).error())
