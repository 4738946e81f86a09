// The JSON check before every RPC: what it takes is one valid text that has each key once; as a request it survives the way
// out and back.
#include "server/connect.hpp"

#include <google/protobuf/util/json_util.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "ovation/v1/gift.pb.h"
#include "tests/fuzz/fuzz.hpp"

using namespace ovation;
namespace json = boost::json;
namespace pb = google::protobuf;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const pb::LogSilencer quiet;
    const std::string in(fuzz::bytes(data, size));
    const auto taken = server::check_json(in);
    if (!taken) {
        const auto answer = server::error_response(taken.error());
        json::error_code failed;
        PROPERTY(answer.status == 400 && !json::parse(answer.body, failed).as_object().empty());
        return 0;
    }
    PROPERTY(text::characters(in));
    json::error_code failed;
    const auto value = json::parse(in, failed);
    PROPERTY(!failed);
    const auto written = json::serialize(value);  // a number too large for a double is no JSON any more
    PROPERTY(written.find("Infinity") != std::string::npos || written.find("NaN") != std::string::npos || server::check_json(written));
    // Deeper by one, it is judged alike, unless that is too deep; as two values of one key it never is.
    const auto nested = server::check_json("[" + in + "," + in + "]");
    PROPERTY(nested || nested.error().message.find("deeper") != std::string::npos);
    PROPERTY(!server::check_json("{\"aB\":" + in + ",\"a_b\":" + in + "}"));
    std::string deep = in;
    for (int i = 0; i < limits::json_depth_max; ++i) deep = "[" + deep + "]";
    PROPERTY(server::check_json(deep).has_value() == value.is_primitive());

    v1::SendGiftRequest request, again;
    pb::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    if (!pb::util::JsonStringToMessage(in, &request, options).ok()) return 0;
    std::string out;
    PROPERTY(pb::util::MessageToJsonString(request, &out).ok());
    PROPERTY(server::check_json(out) && pb::util::JsonStringToMessage(out, &again).ok());
    PROPERTY(again.SerializeAsString() == request.SerializeAsString());
    return 0;
}
