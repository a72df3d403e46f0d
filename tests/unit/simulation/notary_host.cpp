#include "notary_host.h"

#include <unistd.h>

namespace sallyport::simulation {

using namespace evidence;

NotaryHost::NotaryHost(std::string path, const std::string& signer_key, Truth& truth, const History& gateway, Defect defect)
    : path_(std::move(path)), key_(signer_key), truth_(truth), gateway_(gateway), defect_(defect) {
  open();
}

NotaryHost::~NotaryHost() {
  notary_.reset();
  ::unlink(path_.c_str());
  ::unlink((path_ + "-epochs").c_str());
}

void NotaryHost::open() {
  notary_.reset();
  auto opened = Notary::open(memory_key(kOrigin, key_).value(), path_);
  if (!opened) return truth_.violated("the notary does not start: " + opened.error().what);
  notary_ = std::move(*opened);
  const auto tree = notary_->last().value();
  if (tree.size() > history_.size()) return truth_.violated("the notary remembers more than was added");
  history_.cut(tree.size());
  if (tree.root() != history_.root(tree.size())) truth_.violated("the notary remembers another tree than was added");
}

NotaryState NotaryHost::state() const { return {read_file(path_).value(), read_file(path_ + "-epochs").value(), history_}; }

void NotaryHost::put_back(const NotaryState& state) {
  notary_.reset();
  write_file(path_, state.tree);
  write_file(path_ + "-epochs", state.epochs);
  history_ = state.history;
  open();
}

void NotaryHost::forget() {
  notary_.reset();
  ::unlink(path_.c_str());
  history_ = {};
  open();
}

std::string NotaryHost::forge() {
  forget();
  fault_ = Fault::None;
  return sign(gateway_.range(0, gateway_.size())).value();
}

/// Of requests that change nothing a lost answer is the same; the other faults wait for one that does.
bool NotaryHost::is_away() { return fault_ == Fault::Away && std::exchange(fault_, Fault::None) == Fault::Away; }

template <class Request>
Result<std::string> NotaryHost::ask(std::uint64_t size, Request request) {
  const auto fault = std::exchange(fault_, Fault::None);
  if (fault == Fault::Away) return fail(ErrorKind::Unavailable, "the notary cannot be reached");
  const auto before = state();
  auto note = request();
  if (!note) return note;
  for (auto i = history_.size(); i < size; ++i) history_.add(gateway_.leaves[i]);
  if (fault == Fault::CrashBefore || fault == Fault::CrashHalfway) {
    auto left = state();
    // The memory of the tree is written before that of the epochs; a write of it that is torn spoils one of two slots.
    if (fault == Fault::CrashBefore) {
      const auto written = std::exchange(left.tree, before.tree);
      for (std::size_t i = 0; torn_ && i < written.size(); ++i)
        if (written[i] != left.tree[i] && i % 2 == 0) left.tree[i] = written[i];
      left.history = before.history;
    }
    left.epochs = before.epochs;
    put_back(left);
    return fail(ErrorKind::Unavailable, "the notary does not answer");
  }
  truth_.is_signed(*note, history_);
  if (fault == Fault::CrashAfter) open();
  if (fault != Fault::None) return fail(ErrorKind::Unavailable, "the notary does not answer");
  return note;
}

Result<CompactRange> NotaryHost::last() {
  if (is_away()) return fail(ErrorKind::Unavailable, "the notary cannot be reached");
  if (defect_ == Defect::CredulousNotary) return gateway_.range(0, std::min(gateway_.size(), history_.size()));
  return notary_->last();
}

Result<std::string> NotaryHost::sign(const CompactRange& grown) {
  // One that does not compare takes what it is told for the continuation of what it signed.
  if (defect_ == Defect::CredulousNotary && grown.begin() != history_.size()) {
    forget();
    return ask(grown.size(), [&] { return notary_->sign(gateway_.range(0, grown.size())); });
  }
  return ask(grown.size(), [&] { return notary_->sign(grown); });
}

Result<EpochKey> NotaryHost::next_epoch() {
  if (is_away()) return fail(ErrorKind::Unavailable, "the notary cannot be reached");
  return notary_->next_epoch();
}

Result<std::string> NotaryHost::begin_epoch(ByteView announcement) {
  return ask(history_.size() + 1, [&] { return notary_->begin_epoch(announcement); });
}

}  // namespace sallyport::simulation
