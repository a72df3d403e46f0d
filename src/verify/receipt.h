#pragma once
// Receipts (docs/formats/receipt.md): whether an entry stands in the log that a key signed, from the receipt alone. Pure.
#include "verify/entry.h"
#include "verify/note.h"

namespace sallyport::verify {

struct Receipt {
  std::uint64_t index = 0;
  Blob entry;              // the bytes that the tree's leaf is made of
  std::vector<Hash> proof; // from the leaf's sibling upwards
  std::string note;        // the signed head
};

/// The proofs of a file, one after the other. nullopt with what is wrong, and in which line, in `why`.
std::optional<std::vector<Receipt>> read_receipts(std::string_view text, std::string& why);

struct Receipted {
  Entry entry;             // views point into the Receipt
  Head head;
};
/// nullopt with a code ("receipt-head", "receipt-proof", "receipt-entry") and words when it does not hold.
std::optional<Receipted> check_receipt(const Receipt& receipt, const NoteKey& key, std::string& code, std::string& why);

/// What a whole file of receipts is worth: the first that does not hold ends it.
struct ReceiptsReport {
  bool valid = false;
  std::size_t receipts = 0;
  std::string code, what;           // "receipt-form" or a code of check_receipt; "" when valid
  std::vector<std::string> proven;  // for people, one line a receipt; empty unless valid
};
ReceiptsReport check_receipts(std::string_view text, const NoteKey& key);
std::string to_json(const ReceiptsReport& report);

/// RFC 9162 §2.1.3.2.
bool is_included(const Hash& leaf, std::uint64_t index, std::uint64_t size, const std::vector<Hash>& proof, const Hash& root);
/// RFC 9162 §2.1.4.2: the tree of `size` leaves begins with the `old_size` leaves of the older one. False for an older tree
/// without leaves, whose root proves nothing.
bool is_consistent(std::uint64_t old_size, std::uint64_t size, const Hash& old_root, const Hash& root, const std::vector<Hash>& proof);

}  // namespace sallyport::verify
