#include "anchor/timestamping.h"

#include <openssl/rand.h>
#include <openssl/ts.h>
#include <sys/stat.h>

#include <filesystem>

#include "anchor/http_post.h"
#include "evidence/file_ops.h"

namespace sallyport::anchor {
namespace {

constexpr auto kLook = std::chrono::seconds(1);
constexpr auto kRetry = std::chrono::seconds(30);
constexpr std::int64_t kTimeout = 20'000'000'000;

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* p) const { Free(p); }
};
using Request = std::unique_ptr<TS_REQ, Freed<TS_REQ, TS_REQ_free>>;
using Response = std::unique_ptr<TS_RESP, Freed<TS_RESP, TS_RESP_free>>;

std::size_t segments(const std::string& directory) {
  std::error_code error;
  std::size_t out = 0;
  for (const auto& file : std::filesystem::directory_iterator(directory + "/segments", error)) out += file.path().extension() == ".seg";
  return out;
}

std::string status_of(TS_RESP* answer) {
  const auto* info = TS_RESP_get_status_info(answer);
  const auto status = ASN1_INTEGER_get(TS_STATUS_INFO_get0_status(info));
  return "status " + std::to_string(status);
}

}  // namespace

Result<Bytes> timestamp_request(ByteView bytes) {
  const Request request(TS_REQ_new());
  const std::unique_ptr<TS_MSG_IMPRINT, Freed<TS_MSG_IMPRINT, TS_MSG_IMPRINT_free>> imprint(TS_MSG_IMPRINT_new());
  const std::unique_ptr<X509_ALGOR, Freed<X509_ALGOR, X509_ALGOR_free>> algorithm(X509_ALGOR_new());
  const std::unique_ptr<ASN1_INTEGER, Freed<ASN1_INTEGER, ASN1_INTEGER_free>> nonce(ASN1_INTEGER_new());
  auto digest = sha256(bytes);
  std::uint64_t number = 0;
  random_bytes({reinterpret_cast<std::uint8_t*>(&number), sizeof number});
  const bool ok = X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(NID_sha256), V_ASN1_NULL, nullptr) == 1 && TS_MSG_IMPRINT_set_algo(imprint.get(), algorithm.get()) == 1 &&
                  TS_MSG_IMPRINT_set_msg(imprint.get(), digest.data(), static_cast<int>(digest.size())) == 1 && TS_REQ_set_version(request.get(), 1) == 1 &&
                  TS_REQ_set_msg_imprint(request.get(), imprint.get()) == 1 && ASN1_INTEGER_set_uint64(nonce.get(), number) == 1 &&
                  TS_REQ_set_nonce(request.get(), nonce.get()) == 1 && TS_REQ_set_cert_req(request.get(), 1) == 1;
  Bytes out(static_cast<std::size_t>(std::max(0, ok ? i2d_TS_REQ(request.get(), nullptr) : 0)));
  auto* at = out.data();
  if (out.empty() || i2d_TS_REQ(request.get(), &at) <= 0) return fail(ErrorKind::Internal, "a time-stamp request cannot be made");
  return out;
}

Result<void> check_timestamp(ByteView request_bytes, ByteView answer, const std::string& ca_file) {
  const auto* at = request_bytes.data();
  const Request request(d2i_TS_REQ(nullptr, &at, static_cast<long>(request_bytes.size())));
  at = answer.data();
  const Response response(d2i_TS_RESP(nullptr, &at, static_cast<long>(answer.size())));
  if (!request || !response || at != answer.data() + answer.size()) return fail(ErrorKind::Malformed, "the authority's answer is no time-stamp response");
  const std::unique_ptr<TS_VERIFY_CTX, Freed<TS_VERIFY_CTX, TS_VERIFY_CTX_free>> context(TS_REQ_to_TS_VERIFY_CTX(request.get(), nullptr));
  auto* store = X509_STORE_new();
  if (!context || store == nullptr || X509_STORE_load_file(store, ca_file.c_str()) != 1) {
    X509_STORE_free(store);
    return fail(ErrorKind::Unavailable, "cannot read the authority's certificate " + ca_file);
  }
  TS_VERIFY_CTX_set_store(context.get(), store);
  TS_VERIFY_CTX_add_flags(context.get(), TS_VFY_SIGNATURE);
  if (TS_RESP_verify_response(context.get(), response.get()) != 1) return fail(ErrorKind::Denied, "the authority's answer does not verify: " + status_of(response.get()));
  return {};
}

Timestamping::Timestamping(TimestampPolicy policy, evidence::Log& log, std::string directory) : policy_(std::move(policy)), log_(log), view_(std::move(directory)) {
  thread_ = std::thread([this] { run(); });
}

Timestamping::~Timestamping() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Timestamping::run() {
  using Clock = std::chrono::steady_clock;
  auto due = Clock::now();
  auto sealed = segments(view_.directory());
  std::unique_lock lock(mutex_);
  while (!stop_) {
    const auto now_sealed = segments(view_.directory());
    if (now_sealed > sealed) due = std::min(due, Clock::now());
    if (Clock::now() >= due && log_.status().signed_size != 0) {
      sealed = now_sealed;
      lock.unlock();
      const auto done = stamp();
      if (done.has_value() == failing_) {
        failing_ = !failing_;
        evidence::Entry entry(done ? evidence::Kind::SinkRecovered : evidence::Kind::SinkFailed);
        entry.text(evidence::Field::Reason, done ? "" : done.error().what.substr(0, 2000)).text(evidence::Field::Name, "timestamps");
        (void)log_.append_wait(std::move(entry));
      }
      due = Clock::now() + (done ? std::chrono::nanoseconds(policy_.every_ns) : std::min<std::chrono::nanoseconds>(kRetry, std::chrono::nanoseconds(policy_.every_ns)));
      lock.lock();
    }
    wake_.wait_until(lock, std::min<Clock::time_point>(due, Clock::now() + kLook), [this] { return stop_; });
  }
}

Result<void> Timestamping::stamp() {
  TRY(const auto head, view_.head(0));
  const auto folder = view_.directory() + "/timestamps";
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return evidence::system_failure("cannot make " + folder, errno);
  const auto path = fmt::format("{}/{:020}", folder, head.checkpoint.size);
  std::error_code error;
  if (std::filesystem::exists(path + ".tsr", error)) return {};  // nothing was written since
  TRY(const auto request, timestamp_request(as_bytes(head.note)));
  std::vector<Post> posts{{policy_.url, "application/timestamp-query", std::string(as_text(request)), 0, "", ""}};
  post_all(posts, kTimeout);
  if (posts[0].status == 0) return fail(ErrorKind::Unavailable, "the time-stamping authority cannot be reached: " + posts[0].failure);
  if (posts[0].status != 200) return fail(ErrorKind::Unavailable, fmt::format("the time-stamping authority answers {}", posts[0].status));
  TRY_VOID(check_timestamp(request, as_bytes(posts[0].answer), policy_.ca_file));
  TRY_VOID(evidence::replace_file(path + ".note", as_bytes(head.note), 0644));
  return evidence::replace_file(path + ".tsr", as_bytes(posts[0].answer), 0644);
}

}  // namespace sallyport::anchor
