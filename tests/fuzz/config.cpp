// The TOML file: what is taken stands within its limits and is taken again as it is; what is shown is one line a setting and
// tells nothing of the secrets.
#include "base/config.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "tests/fuzz/fuzz.hpp"

using namespace ovation;

namespace {
// toml++ 3.3 runs into its own "unreachable" where a letter of U+00A1 … U+0499, U+2E5E … U+3257 or U+FEC6 … stands for a blank.
bool library_fault(std::uint8_t c) { return (c >= 0xc0 && c <= 0xd2) || c == 0xe2 || c == 0xe3 || c == 0xef; }
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (std::any_of(data, data + size, library_fault)) return 0;
    static const int file = memfd_create("config", 0);
    static const std::string path = "/proc/self/fd/" + std::to_string(file);
    PROPERTY(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == static_cast<ssize_t>(size));
    config read;
    if (!read_config_file(read, path)) return 0;
    config again, other_secrets = read;
    for (const auto& s : settings()) {
        std::string text;
        if (const auto* field = std::get_if<std::string config::*>(&s.field)) {
            text = read.**field;
            if (s.secret && !text.empty()) other_secrets.**field = "x";
        } else if (const auto* number = std::get_if<std::int64_t config::*>(&s.field)) {
            text = std::to_string(read.**number);
            PROPERTY(read.**number >= s.least && read.**number <= s.most);
        } else text = read.*std::get<bool config::*>(s.field) ? "true" : "false";
        PROPERTY(assign(again, s, text));
    }
    const auto shown = effective(read);
    PROPERTY(shown == effective(again) && shown == effective(other_secrets));
    PROPERTY(static_cast<std::size_t>(std::ranges::count(shown, '\n')) == settings().size());
    return 0;
}
