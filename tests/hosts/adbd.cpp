// Android's properties for an adbd on Linux: lines KEY=VALUE, read at each call, as they may change.
#include <android-base/properties.h>

#include <fstream>
#include <string>

namespace android::base {

std::string GetProperty(const std::string& key, const std::string& default_value) {
  for (const char* name : {"/data/local.prop", "/system/build.prop"}) {
    std::ifstream file(name);
    for (std::string line; std::getline(file, line);) {
      if (line.rfind(key + "=", 0) == 0) return line.substr(key.size() + 1);
    }
  }
  return default_value;
}

bool GetBoolProperty(const std::string& key, bool default_value) {
  const std::string value = GetProperty(key, "");
  if (value == "1" || value == "true") return true;
  if (value == "0" || value == "false") return false;
  return default_value;
}

}  // namespace android::base
