#pragma once
// Takes back a request whose answer has not begun: whoever sends it lends its connection while it waits, whoever wants it back
// pulls, and the sender resumes with Disconnected. Pulled before it was sent, it is not sent. Owned by who made the request and alive
// until the sender has resumed; worker's thread only.
#include <functional>
#include <utility>

namespace sallyport::net {

class Recall {
 public:
  void pull() {
    pulled_ = true;
    if (close_) close_();
  }
  bool pulled() const { return pulled_; }

  /// What pull() closes, as long as this lives. `recall` may be null: then nobody takes it back.
  class Lent {
   public:
    Lent(Recall* recall, std::function<void()> close) : recall_(recall) {
      if (recall_ != nullptr) recall_->close_ = std::move(close);
    }
    ~Lent() {
      if (recall_ != nullptr) recall_->close_ = nullptr;
    }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;

   private:
    Recall* recall_;
  };

 private:
  std::function<void()> close_;
  bool pulled_ = false;
};

}  // namespace sallyport::net
