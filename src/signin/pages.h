#pragma once
// The pages that a person sees while signing in: plain HTML without script, readable without style. All text from outside is escaped.
// Pure, any thread.
#include <string>
#include <string_view>
#include <vector>

#include "admin/problem.h"

namespace sallyport::signin {

struct ProviderChoice {
  std::string name, path;   // what is written on it, where it leads
};
/// `local`: a form for a user of the configuration. `message`: what went wrong before, "" = nothing.
admin::Answer choice_page(const std::vector<ProviderChoice>& providers, bool local, std::string_view message, unsigned status = 200);
/// The code that a device shows is asked for.
admin::Answer device_page(std::string_view message, unsigned status = 200);
/// What a person is asked about a program that would act for them.
struct ConsentQuestion {
  std::string who, program, id;    // id: its client_id, which it cannot make up
  std::string back_to, resource, scopes, token;
  bool vouched = false;            // an administrator put it into the configuration
};
admin::Answer consent_page(const ConsentQuestion& question);
/// The person's last word: who they came as, and what for. `about`: one sentence.
admin::Answer confirm_page(std::string_view who, std::string_view about, std::string_view token);
/// `leads_to`: where the browser goes on by itself (a loopback address of the person's own computer), "" = nowhere.
admin::Answer message_page(std::string_view title, std::string_view text, unsigned status = 200, std::string_view leads_to = "");

}  // namespace sallyport::signin
