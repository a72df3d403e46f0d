#pragma once
// controls.json of a pack: which controls of SOC 2, ISO 27001:2022, PCI DSS 4.0 and HIPAA the entries in it can support, and where
// they are. Supporting evidence, never certification: whether a control is met is for an assessor to say. Pure.
#include "verify/pack_story.h"

namespace sallyport::verify {

struct Control {
  const char* feature;                          // as PackStory counts it
  const char* title;
  const char *soc2, *iso, *pci, *hipaa;         // numbers, by spaces; "" none
};
const std::vector<Control>& controls();
extern const char* const kControlsDisclaimer;

std::string write_controls(const PackStory& story);

}  // namespace sallyport::verify
