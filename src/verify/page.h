#pragma once
// The verifier's door for the web page (docs/verify.md): the C functions that its worker calls, in this order: page_room and
// page_keys once; page_room and page_feed for each slice of the file; page_finish. A slice is written to the room that
// page_room gave. Nothing throws: what cannot be checked is told in the report. One file a WebAssembly instance, one thread.
#include <cstddef>
#include <cstdint>

extern "C" {

/// Where the next `size` bytes go; valid until the next call of it.
std::uint8_t* page_room(std::size_t size);
/// The room holds the verifier key in its first `key` bytes and behind it, in `witnesses` bytes, witness keys, one a line.
void page_keys(std::size_t key, std::size_t witnesses);
/// The room's first `size` bytes are the file's next ones.
void page_feed(std::size_t size);
/// The file is at its end. Gives the length of the report, which page_report points to: a JSON object, either
/// {"error"} when there is no verdict, or {"kind", "report": what `sallyport-verify --json` prints, "said": [], "notes": []}.
std::size_t page_finish();
const char* page_report();
/// Leaf and node hashes of a tree of n entries of `size` bytes, to be timed; the root's first four bytes.
std::uint32_t page_bench(std::uint32_t n, std::uint32_t size);
}
