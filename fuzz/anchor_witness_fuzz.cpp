// Bodies of add-checkpoint, of any bytes, to a witness that has cosigned three entries. When the first byte says so the log's signature is put
// under the note, so that the fuzzer gets behind it. What is cosigned grew: never less than before, and of the same size never another.
#include <stdlib.h>

#include <filesystem>

#include "anchor/witness.h"
#include "evidence/cosignature.h"
#include "evidence/merkle.h"

namespace {
using namespace sallyport;
using namespace sallyport::evidence;

const auto kLog = signer_from_seed("log", Digest{3}), kWitness = signer_from_seed("witness", Digest{4});

struct Place {
  Place() {
    char shm[] = "/dev/shm/sallyport-fuzz-XXXXXX", tmp[] = "/tmp/sallyport-fuzz-XXXXXX";
    const char* made = ::mkdtemp(shm);
    path = made != nullptr ? made : ::mkdtemp(tmp);
    CompactRange tree;
    for (std::uint8_t i = 0; i < 3; ++i) tree.append(leaf_hash(Bytes{i}));
    first = {"log", 3, tree.root()};
  }
  ~Place() { std::filesystem::remove_all(path); }
  std::string path;
  Checkpoint first;
};
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Place place;
  if (size == 0) return 0;
  std::filesystem::remove_all(place.path + "/w");
  auto witness = anchor::Witness::open(place.path + "/w", kWitness, {*parse_verifier_key(verifier_key_of(kLog))});
  if (!witness || witness->add_checkpoint("old 0\n\n" + sign_note(kLog, checkpoint_text(place.first)), 1).status != 200) __builtin_trap();
  auto body = std::string(as_text(ByteView(data + 1, size - 1)));
  if (data[0] % 2 == 1) {
    const auto begin = body.find("\n\n"), end = body.rfind("\n\n");
    if (begin != std::string::npos && end > begin) body = body.substr(0, end + 2) + signature_line(kLog, std::string_view(body).substr(begin + 2, end - begin - 1));
  }
  const auto answer = witness->add_checkpoint(body, 2);
  if (answer.status != 200) return 0;
  const auto kept = witness->checkpoint(hex(sha256(as_bytes("log")))).body;
  const auto head = parse_checkpoint(std::string_view(kept).substr(0, kept.rfind("\n\n") + 1));
  if (!head || head->size < 3 || (head->size == 3 && head->root != place.first.root)) __builtin_trap();
  if (!anchor::Witness::open(place.path + "/w", kWitness, {*parse_verifier_key(verifier_key_of(kLog))})) __builtin_trap();
  return 0;
}
