// One type's bits read as another's.
#pragma once
#include <cstring>

namespace cuda_cpu {
template <class To, class From>
inline To same_bits(From value) {
    static_assert(sizeof(To) == sizeof(From));
    To result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}
}  // namespace cuda_cpu
