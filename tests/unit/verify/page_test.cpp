// The door of the web page, called natively with the example of docs/formats/receipt.md.
#include <gtest/gtest.h>

#include <cstring>

#include "verify/bytes.h"
#include "verify/page.h"

namespace sallyport::verify {
namespace {

const std::string kKey = "example.org/evidence+113fdc51+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
const std::string kReceipt =
    "c2sp.org/tlog-proof@v1\nextra AaUBAAIbF5ec/jYqAAADGwAAAAEqBfIABFAAAQIDBAUGBwgJCgsMDQ4PBwQ=\nindex 0\n\nexample.org/evidence\n1\n"
    "zT+PfTpzEvWGXO88xnxiQMZFiH+7uKOYhMf1ZJc3dQA=\n\n"
    "\xE2\x80\x94 example.org/evidence ET/cUR4jCsFXm+vEUR2TqAuWlQJx8Fvi7AggGaVgMPt0KqAfP7k05F7T3e1wvZKtwpRYK0uadfds/Ky1UKdvrTV3vwU=\n";

void put(std::string_view text) { std::memcpy(page_room(text.size()), text.data(), text.size()); }
std::string said(const std::string& file, std::size_t slice = 1 << 20, const std::string& key = kKey, const std::string& witnesses = "") {
  put(key + witnesses);
  page_keys(key.size(), witnesses.size());
  for (std::size_t at = 0; at < file.size(); at += slice) {
    put(file.substr(at, slice));
    page_feed(std::min(slice, file.size() - at));
  }
  const auto size = page_finish();
  return {page_report(), size};
}

const std::string kValid =
    R"({"kind":"receipt","report":{"verdict":"valid","receipts":1,"code":"","what":""},"said":["entry 0 (heartbeat, 2023-11-14T22:13:20Z), in the log example.org/evidence of 1 entries"],"notes":[]})";

TEST(Page, SaysOfAReceiptWhatTheProgramSays) {
  EXPECT_EQ(said(kReceipt), kValid);
  EXPECT_EQ(said(kReceipt, 3), kValid) << "in slices";
  EXPECT_EQ(said(kReceipt, 1 << 20, "\n  " + kKey + " \r\n"), kValid) << "a pasted key";
}

TEST(Page, NamesWhatIsWrong) {
  auto forged = kReceipt;
  forged[forged.find("AaUBAA") + 8] ^= 1;
  EXPECT_NE(said(forged).find(R"("verdict":"invalid","receipts":1,"code":"receipt-proof")"), std::string::npos) << said(forged);
  EXPECT_NE(said("").find(R"("verdict":"invalid","receipts":0,"code":"receipt-form")"), std::string::npos);
  EXPECT_NE(said(kReceipt.substr(0, 40)).find(R"("code":"receipt-form")"), std::string::npos);
  EXPECT_NE(said(std::string((1u << 26) + 9, 'a'), 8u << 20).find(R"("code":"receipt-form")"), std::string::npos);
  EXPECT_EQ(said(kReceipt), kValid) << "nothing is left of the files before";
}

TEST(Page, GivesNoVerdictWithoutAKeyOrOnAFileThatItDoesNotKnow) {
  EXPECT_EQ(said(kReceipt, 1 << 20, ""), R"({"error":"the verifier key: a verifier key is NAME+HASH+BASE64"})");
  EXPECT_EQ(said(kReceipt, 1 << 20, kKey.substr(1)), R"({"error":"the verifier key: the key's hash does not belong to it"})");
  EXPECT_EQ(said("PK\x03\x04zip").find(R"({"kind":"pack","report":{"verdict":"invalid")"), 0U) << "a ZIP file that is no pack";
}

TEST(Page, TellsThatWitnessKeysWereNotUsed) {
  EXPECT_NE(said(kReceipt, 1 << 20, kKey, "\n w+00000000+BA== \n\n").find("the witness keys were not used"), std::string::npos);
  EXPECT_EQ(said(kReceipt, 1 << 20, kKey, " \n"), kValid);
}

TEST(Page, HasABenchmarkThatHashesATree) {
  EXPECT_EQ(page_bench(1000, 300), 2123677544U);  // tests/flow/page_test.mjs wants the same of the browser
  EXPECT_NE(page_bench(1001, 300), 2123677544U);
}

}  // namespace
}  // namespace sallyport::verify
