#!/usr/bin/env bash
# A target cannot be written to without a permit: each way around it must fail to compile, for the reason named, and the
# right way must compile, so that a broken include is not taken for a pass.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
flags=(-std=c++23 -Isrc -DBOOST_ASIO_SEPARATE_COMPILATION -DBOOST_ERROR_CODE_HEADER_ONLY -fsyntax-only -x c++ -)
head='
#include "base/pch.h"
#include "enforce/gate.h"
#include "target/link.h"
#include "target/process.h"
using namespace sallyport;
boost::asio::awaitable<void> go(target::Link& link, target::Process& process, enforce::Allowed allowed, const target::Target& target, target::CatalogPtr catalog) {
  (void)target; (void)catalog; (void)link; (void)process;
'
try() { printf '%s\n%s\n  co_return;\n}\n' "$head" "$1" | clang++-19 "${flags[@]}" 2>&1; }

must_compile() {
  if ! out=$(try "$1"); then printf 'does not compile, but must: %s\n%s\n' "$1" "$out"; exit 1; fi
  echo "compiles: $1"
}
must_fail() {  # CODE REASON
  if out=$(try "$1"); then printf 'compiles, but must not: %s\n' "$1"; exit 1; fi
  if ! grep -qE "$2" <<<"$out"; then printf 'fails for another reason: %s\n%s\n' "$1" "$out"; exit 1; fi
  echo "refused:  $1"
}

must_compile '(void)co_await link.send(std::move(allowed.permit), "POST", {});'
must_fail '(void)co_await link.send(std::string("{}"), "POST", {});' 'no viable conversion|no matching'
must_compile '(void)co_await process.write(std::move(allowed.permit), {}, 0);'
must_fail '(void)co_await process.write(std::string("{}"), {}, 0);' 'no viable conversion|no matching'
must_fail '(void)co_await process.write(allowed.permit, {}, 0);' 'deleted'
must_fail 'process.in_.write("{}", 0);' 'private member'
must_fail '(void)co_await link.send_to("/x", std::string("{}"), {});' 'no viable conversion|no matching'
must_fail '(void)co_await link.exchange(allowed.permit, "POST", "/", {});' 'private member'
must_fail 'target::Permit made(catalog, &target, "{}", "req_1", "");' 'private constructor'
must_fail 'target::Permit made{};' 'no matching constructor|private constructor'
must_fail 'target::Permit copy = allowed.permit;' 'deleted'
must_fail '(void)co_await link.send(allowed.permit, "POST", {});' 'deleted'
must_fail 'link.client_.send("POST", "/", {}, "{}", false, 0);' "private member"
must_fail 'auto text = allowed.permit.bytes_;' 'private member'
must_fail 'allowed.permit.bytes() = "{}";' 'no viable overloaded|not assignable|const'
