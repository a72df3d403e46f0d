#include "truth.h"

#include "evidence/note.h"

namespace sallyport::simulation {
namespace {

std::string text_of(const std::string& note) { return note.substr(0, note.find("\n\n") + 1); }

}  // namespace

const Truth::Head* Truth::of(const std::string& note) const {
  const auto at = heads_.find(text_of(note));
  return at == heads_.end() ? nullptr : &at->second;
}

void Truth::is_signed(const std::string& note, const History& history) {
  const auto text = text_of(note);
  const auto head = evidence::parse_checkpoint(text).value();
  if (history.size() < head.size || history.root(head.size) != head.root) return violated("a head was signed over what was never added");
  heads_[text] = {head.size, history.marks[head.size]};
  marks_.try_emplace(text, history.marks.begin(), history.marks.begin() + static_cast<std::ptrdiff_t>(head.size) + 1);
  notes_.emplace(head.size, note);
  const auto [first, fresh] = first_.try_emplace(head.size, text);
  if (fresh || first->second == text) return;
  ++forks_;
  if (!rolled_back) violated("two roots were signed for the size " + std::to_string(head.size));
}

void Truth::is_cosigned(std::size_t witness, const std::string& note) {
  const auto* head = of(note);
  if (head == nullptr) return violated("a witness cosigned what was never signed");
  const auto& marks = marks_.at(text_of(note));
  if (const auto before = cosigned_.find(witness); before != cosigned_.end()) {
    if (head->size < before->second.size) violated("a witness cosigned a smaller head");
    else if (marks[before->second.size] != before->second.mark) violated("a witness cosigned two inconsistent heads");
  }
  cosigned_[witness] = *head;
}

void Truth::is_alarmed(const std::string& why) {
  if (!tampered) violated("an alarm without a cause: " + why);
}

void Truth::is_witnessed(const std::string& note, const History& history) {
  const auto* head = of(note);
  if (head == nullptr) return violated("what never was signed is witnessed");
  if (!is_prefix(note, history)) violated("a witnessed head is not the beginning of the log that keeps it");
  witnessed_.push_back(*head);
}

bool Truth::is_prefix(std::size_t witness, const History& history) const {
  const auto at = cosigned_.find(witness);
  return at == cosigned_.end() || (at->second.size <= history.size() && history.marks[at->second.size] == at->second.mark);
}

bool Truth::is_prefix(const std::string& note, const History& history) const {
  const auto* head = of(note);
  return head != nullptr && head->size <= history.size() && history.marks[head->size] == head->mark;
}

bool Truth::holds_witnessed(const History& history) const {
  for (const auto& head : witnessed_)
    if (head.size > history.size() || history.marks[head.size] != head.mark) return false;
  return true;
}

std::vector<std::string> Truth::notes() const {
  std::vector<std::string> out;
  for (const auto& [size, note] : notes_) out.push_back(note);
  return out;
}

}  // namespace sallyport::simulation
