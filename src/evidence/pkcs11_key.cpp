// A signing key in a PKCS#11 token (OASIS PKCS#11 v3.0: CKK_EC_EDWARDS, CKM_EDDSA; RFC 8410 for the point).
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <p11-kit/pkcs11.h>

#include "evidence/key_store.h"

namespace sallyport::evidence {
namespace {

constexpr CK_KEY_TYPE kEdwards = 0x40;
constexpr CK_MECHANISM_TYPE kEddsa = 0x1057;

std::unexpected<Error> refused(const char* what, CK_RV code) {
  return fail(ErrorKind::Unavailable, fmt::format("the PKCS#11 token cannot {}: error {:#x}", what, code));
}

class TokenKey : public KeyStore {
 public:
  TokenKey(std::string token, std::string label, std::string pin) : token_(std::move(token)), label_(std::move(label)), pin_(std::move(pin)) {}
  ~TokenKey() override {
    if (p11_ != nullptr) p11_->C_Finalize(nullptr);
    OPENSSL_cleanse(pin_.data(), pin_.size());
  }
  const NoteKey& verifier() const override { return verifier_; }

  Result<void> open(const std::string& origin, const std::string& module) {
    void* library = ::dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);  // stays loaded: modules do not unload well
    if (library == nullptr) return fail(ErrorKind::Unavailable, fmt::format("cannot load the PKCS#11 module {}: {}", module, ::dlerror()));
    auto* list = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
    if (list == nullptr || list(&p11_) != CKR_OK) return fail(ErrorKind::Unavailable, module + " is no PKCS#11 module");
    if (const auto code = p11_->C_Initialize(nullptr); code != CKR_OK && code != CKR_CRYPTOKI_ALREADY_INITIALIZED) return refused("be initialized", code);
    TRY_VOID(log_in());
    TRY(const auto key, find(CKO_PUBLIC_KEY));
    std::array<unsigned char, 64> point{};
    CK_ATTRIBUTE attribute{CKA_EC_POINT, point.data(), point.size()};
    if (const auto code = p11_->C_GetAttributeValue(session_, key, &attribute, 1); code != CKR_OK) return refused("give its public key", code);
    // A DER OCTET STRING around the 32 bytes; some modules leave its two bytes out.
    const std::size_t size = attribute.ulValueLen;
    if (size != 32 && (size != 34 || point[0] != 4 || point[1] != 32)) return fail(ErrorKind::Malformed, "the key '" + label_ + "' is no Ed25519 key");
    Digest public_key;
    std::copy_n(point.begin() + (size == 34 ? 2 : 0), 32, public_key.begin());
    verifier_ = verifier_from_public(origin, public_key);
    return {};
  }

  Result<Bytes> sign(std::string_view message) override {
    auto done = try_sign(message);
    if (done) return done;
    // A token that was reset forgets who was logged in.
    p11_->C_CloseSession(session_);
    TRY_VOID(log_in());
    return try_sign(message);
  }

 private:
  Result<void> log_in() {
    CK_ULONG count = 0;
    if (const auto code = p11_->C_GetSlotList(CK_TRUE, nullptr, &count); code != CKR_OK) return refused("list its slots", code);
    std::vector<CK_SLOT_ID> slots(count);
    if (const auto code = p11_->C_GetSlotList(CK_TRUE, slots.data(), &count); code != CKR_OK) return refused("list its slots", code);
    for (const auto slot : slots) {
      CK_TOKEN_INFO info{};
      if (p11_->C_GetTokenInfo(slot, &info) != CKR_OK) continue;
      std::string name(reinterpret_cast<const char*>(info.label), sizeof info.label);
      name.erase(name.find_last_not_of(' ') + 1);
      if (name != token_) continue;
      if (const auto code = p11_->C_OpenSession(slot, CKF_SERIAL_SESSION, nullptr, nullptr, &session_); code != CKR_OK) return refused("open a session", code);
      auto* pin = reinterpret_cast<CK_UTF8CHAR*>(pin_.data());
      const auto code = p11_->C_Login(session_, CKU_USER, pin, pin_.size());
      if (code != CKR_OK && code != CKR_USER_ALREADY_LOGGED_IN) return refused("log in with this PIN", code);
      return {};
    }
    return fail(ErrorKind::Unavailable, "there is no PKCS#11 token labelled '" + token_ + "'");
  }

  Result<CK_OBJECT_HANDLE> find(CK_OBJECT_CLASS type) {
    CK_KEY_TYPE edwards = kEdwards;
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &type, sizeof type}, {CKA_KEY_TYPE, &edwards, sizeof edwards}, {CKA_LABEL, label_.data(), label_.size()}};
    if (const auto code = p11_->C_FindObjectsInit(session_, wanted, 3); code != CKR_OK) return refused("look for the key", code);
    std::array<CK_OBJECT_HANDLE, 2> found{};
    CK_ULONG count = 0;
    const auto code = p11_->C_FindObjects(session_, found.data(), found.size(), &count);
    p11_->C_FindObjectsFinal(session_);
    if (code != CKR_OK) return refused("look for the key", code);
    if (count != 1) return fail(ErrorKind::Malformed, fmt::format("the token '{}' holds {} Ed25519 keys labelled '{}', one is needed", token_, count, label_));
    return found[0];
  }

  Result<Bytes> try_sign(std::string_view message) {
    TRY(const auto key, find(CKO_PRIVATE_KEY));
    CK_MECHANISM how{kEddsa, nullptr, 0};
    if (const auto code = p11_->C_SignInit(session_, &how, key); code != CKR_OK) return refused("sign", code);
    Bytes out(64);
    CK_ULONG size = out.size();
    auto* data = reinterpret_cast<CK_BYTE*>(const_cast<char*>(message.data()));
    if (const auto code = p11_->C_Sign(session_, data, message.size(), out.data(), &size); code != CKR_OK) return refused("sign", code);
    if (size != out.size()) return fail(ErrorKind::Malformed, "the token's signature is not 64 bytes long");
    return out;
  }

  std::string token_, label_, pin_;
  CK_FUNCTION_LIST* p11_ = nullptr;
  CK_SESSION_HANDLE session_ = 0;
  NoteKey verifier_;
};

}  // namespace

Result<std::unique_ptr<KeyStore>> pkcs11_key(const std::string& origin, const std::string& module, const std::string& token,
                                             const std::string& label, const std::string& pin) {
  if (!is_key_name(origin)) return fail(ErrorKind::Malformed, "the origin '" + origin + "' is empty or has white space or '+'");
  auto out = std::make_unique<TokenKey>(token, label, pin);
  TRY_VOID(out->open(origin, module));
  return out;
}

}  // namespace sallyport::evidence
