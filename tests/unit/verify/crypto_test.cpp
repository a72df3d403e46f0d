// The portable cryptography of the web page and OpenSSL's, held against published vectors and against each other.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <memory>

#include "verify/crypto.h"
#include "verify/crypto_portable.h"

namespace sallyport::verify {
namespace {

Blob unhex(std::string_view text) {
  Blob out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) out.push_back(static_cast<std::uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return out;
}
Blob bytes(std::size_t size, unsigned seed) {
  Blob out(size);
  for (auto& b : out) b = static_cast<std::uint8_t>((seed = seed * 1664525 + 1013904223) >> 24);
  return out;
}
Blob digest(const EVP_MD* kind, View message) {
  Blob out(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  EVP_Digest(message.data(), message.size(), out.data(), &size, kind, nullptr);
  out.resize(size);
  return out;
}

/// What both implementations say; a test that meets a difference fails here.
bool fits(View key, View message, View signature) {
  const bool theirs = ed25519_fits(fixed<32>(key, 0), message, signature), ours = portable::ed25519_fits(fixed<32>(key, 0), message, signature);
  EXPECT_EQ(ours, theirs) << "key " << hex(key) << " message " << hex(message) << " signature " << hex(signature);
  return ours && theirs;
}

struct Signer {
  explicit Signer(unsigned seed) {
    const auto secret = bytes(32, seed);
    pkey.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, secret.data(), secret.size()));
    std::size_t size = key.size();
    EVP_PKEY_get_raw_public_key(pkey.get(), key.data(), &size);
  }
  Blob sign(View message) const {
    Blob out(64);
    std::size_t size = out.size();
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, pkey.get());
    EVP_DigestSign(context.get(), out.data(), &size, message.data(), message.size());
    return out;
  }
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pkey{nullptr, EVP_PKEY_free};
  Blob key = Blob(32);
};

TEST(Sha2, GivesThePublishedDigests) {
  EXPECT_EQ(hex(portable::Sha256().done()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(portable::Sha256().add(view("abc")).done()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(portable::Sha256().add(view("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")).done()), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hex(portable::Sha256().add(Blob(1'000'000, 'a')).done()), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  EXPECT_EQ(hex(portable::sha512({view("a"), view(""), view("bc")})),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(Sha2, AgreesWithOpenSslAtEveryLengthAndCut) {
  for (std::size_t n = 0; n <= 300; ++n) {
    const auto message = bytes(n, static_cast<unsigned>(n));
    const auto wanted = digest(EVP_sha256(), message), wide = digest(EVP_sha512(), message);
    EXPECT_EQ(hex(Sha256().add(message).done()), hex(wanted));
    EXPECT_EQ(hex(portable::sha512({message})), hex(wide)) << n;
    for (std::size_t cut = 0; cut <= n; ++cut)
      ASSERT_EQ(hex(portable::Sha256().add(View(message).first(cut)).add(View(message).subspan(cut)).done()), hex(wanted)) << n << " cut at " << cut;
  }
}

TEST(Hmac, IsThatOfRfc4231AndOfOpenSsl) {
  EXPECT_EQ(hex(hmac_sha256(Blob(20, 0x0B), view("Hi There"))), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex(hmac_sha256(view("Jefe"), view("what do ya want for nothing?"))), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hex(hmac_sha256(Blob(131, 0xAA), view("Test Using Larger Than Block-Size Key - Hash Key First"))), "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  for (const std::size_t n : {1U, 32U, 63U, 64U, 65U, 200U}) {
    const auto key = bytes(n, 1), message = bytes(3 * n, 2);
    Hash wanted{};
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(), message.size(), wanted.data(), nullptr);
    EXPECT_EQ(hex(hmac_sha256(key, message)), hex(wanted));
  }
}

TEST(Ed25519, TakesTheVectorsOfRfc8032) {
  EXPECT_TRUE(fits(unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"), {},
                   unhex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")));
  EXPECT_TRUE(fits(unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"), unhex("72"),
                   unhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")));
  EXPECT_TRUE(fits(unhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"), unhex("af82"),
                   unhex("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")));
  EXPECT_TRUE(fits(unhex("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf"), digest(EVP_sha512(), view("abc")),
                   unhex("dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704")));
}

TEST(Ed25519, RefusesEveryChangedBitAsOpenSslDoes) {
  const Signer signer(7);
  const auto message = bytes(40, 8), good = signer.sign(message);
  EXPECT_TRUE(fits(signer.key, message, good));
  for (std::size_t bit = 0; bit < 512; ++bit) {
    auto changed = good;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(fits(signer.key, message, changed)) << bit;
  }
  for (std::size_t bit = 0; bit < 256; ++bit) {
    auto changed = signer.key;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(fits(changed, message, good)) << bit;
  }
  for (std::size_t bit = 0; bit < 320; ++bit) {
    auto changed = message;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    EXPECT_FALSE(fits(signer.key, changed, good)) << bit;
  }
  for (const std::size_t size : {0U, 1U, 32U, 63U}) EXPECT_FALSE(fits(signer.key, message, View(good).first(size)));
  auto longer = good;
  longer.push_back(0);
  EXPECT_FALSE(fits(signer.key, message, longer));
}

TEST(Ed25519, TakesWhatOpenSslSigned) {
  for (unsigned seed = 0; seed < 300; ++seed) {
    const Signer signer(seed);
    const auto message = bytes(seed, seed + 1);
    EXPECT_TRUE(fits(signer.key, message, signer.sign(message))) << seed;
  }
}

// Where implementations are known to differ (made with B, a point of order 8 and p of RFC 8032 §5.1): a signature that one
// verifier takes and the other refuses would make two auditors disagree.
TEST(Ed25519, DecidesTheCornersAsOpenSslDoes) {
  const std::string plain = "ce0835d5eef35d3d7194904428ab19ee30b76afce559883b3b3542994e42af45", mixed = "11cafa6189fadaeb44521804c87f0e5cbc49236185e67e41742c3dbcfc553d92";
  const std::string r = "684c0d53ab44de46d526ab4d33b5947bab9d77af687fe0a09518a5f6df4a86eb", s = "b112f47e5fdab40d" + std::string(48, '0'), ff(58, 'f'), zero(60, '0');
  const struct {
    const char* what;
    std::string key, message, signature;
    bool good;
  } corners[] = {
      {"nothing unusual", plain, "07", r + "b1efac743c2183b4ef9c761090497fc4698d35c196c23aa30746336d6c1c610a", true},
      {"S + L", plain, "07", r + "9ec3a2d15684950cc6396eb36e435ed9698d35c196c23aa30746336d6c1c611a", false},
      {"key of mixed order", mixed, "0e", r + "11a885808786dbadafb6b6ddcacbf1d84d8ce8c1183ade6b82191219af9ee306", true},
      {"key of mixed order, holds with the cofactor only", mixed, "00", r + "933ae8223a6613f88bb1234ac6b6d32744ffea1a32a0a1f0144cc4a47fa7130b", false},
      {"R of mixed order, holds with the cofactor only", plain, "07", "dfd3145e691e9b998cb20bd6e1790ccfbd79f23e01dc20a7349e3aec7193acf62762c75cab72c351c971ed330d9464c18dd91000aa7c59672135915ec4197805", false},
      {"both of mixed order", mixed, "11", "0e2ceba196e16466734df4291e86f33042860dc1fe23df58cb61c5138e6c53094eee874f397a04b168b6f7fd96da923e8b13fc3f04c11ca27508097e68e5940d", true},
      {"key p + 1", "ee" + ff + "ff7f", "00", r + s, true},
      {"key p", "ed" + ff + "ff7f", "01", r + s, true},
      {"key 1 with a sign", "01" + zero + "80", "00", r + s, true},
      {"key -1 with a sign", "ec" + ff + "ffff", "00", r + s, true},
      {"key p with a sign", "ed" + ff + "ffff", "00", r + s, true},
      {"key p + 1 with a sign", "ee" + ff + "ffff", "00", r + s, true},
      {"R is 1", plain, "07", "01" + zero + "00" + "5d9360cd5e7081ffb2aec826ff73cc048e75cef56601d58a96aec30f59a67d0d", true},
      {"R is 1, spelt p + 1", plain, "07", "ee" + ff + "ff7f" + "601ac5bbb8a8f62399de871bea2807cbceea57c96d5015cd296c5a9c22ca4a05", false},
      {"R is 1, with a sign", plain, "07", "01" + zero + "80" + "806166847f50bbf81208f48f2ce08e56e5714e3822cbb941387179aaadba055005", false},
      {"key 2, no point", "02" + zero + "00", "07", r + s, false},
  };
  for (const auto& corner : corners) EXPECT_EQ(fits(unhex(corner.key), unhex(corner.message), unhex(corner.signature)), corner.good) << corner.what;
}

TEST(Ed25519, AgreesWithOpenSslOnKeysAndHeadsOfSmallOrder) {
  std::vector<Blob> points;
  for (const char* text : {"0100000000000000000000000000000000000000000000000000000000000000", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
                           "0000000000000000000000000000000000000000000000000000000000000000", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
                           "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
    points.push_back(unhex(text));
    points.push_back(points.back());
    points.back()[31] ^= 0x80;
  }
  int taken = 0, refused = 0;
  for (const auto& key : points) {
    for (const auto& head : points) {
      Blob signature = head;
      signature.resize(64);
      for (std::uint8_t text = 0; text < 8; ++text) ++(fits(key, {&text, 1}, signature) ? taken : refused);
    }
  }
  EXPECT_GT(taken, 100);
  EXPECT_GT(refused, 500);
}

TEST(Ed25519, AgreesWithOpenSslAroundTheOrder) {
  const Signer signer(3);
  const auto message = bytes(3, 3), good = signer.sign(message);
  const auto order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
  for (int step = -2; step <= 2; ++step) {
    Blob changed(good.begin(), good.begin() + 32);
    changed.insert(changed.end(), order.begin(), order.end());
    changed[32] = static_cast<std::uint8_t>(changed[32] + step);
    EXPECT_FALSE(fits(signer.key, message, changed));
  }
}

}  // namespace
}  // namespace sallyport::verify
