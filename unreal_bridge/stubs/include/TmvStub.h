#pragma once
// What all stub headers start from. Our own declarations of exactly the Unreal API that the plugin uses, from Epic's
// public documentation: types and signatures, no code of Unreal's. Only good for -fsyntax-only.
#include "Runtime/Launch/Resources/Version.h"
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>
#include <utility>

// Which minor versions of Unreal 5 a stub header is valid for.
#define TMV_STUB(FIRST, LAST) \
  static_assert(ENGINE_MINOR_VERSION >= FIRST && ENGINE_MINOR_VERSION <= LAST, "this header is not in this version of Unreal");

#if (ENGINE_MINOR_VERSION >= 3) && (__cplusplus < 202002L) && !defined(TMV_STUB_ANY_STANDARD)
#error "Unreal 5.3 and later are compiled as C++20"
#endif

// The header tool's marks.
#define UCLASS(...)
#define USTRUCT(...)
#define UENUM(...)
#define UPROPERTY(...)
#define UFUNCTION(...)
#define GENERATED_BODY(...)
#define TORCHMULTIVERSEBRIDGE_API
#define WITH_EDITOR TMV_STUB_EDITOR
#ifndef TMV_STUB_EDITOR
#define TMV_STUB_EDITOR 0
#endif

typedef std::int8_t int8;
typedef std::uint8_t uint8;
typedef std::int16_t int16;
typedef std::uint16_t uint16;
typedef std::int32_t int32;
typedef std::uint32_t uint32;
typedef long long int64;
typedef unsigned long long uint64;
typedef std::size_t SIZE_T;
typedef char ANSICHAR;
typedef char16_t TCHAR;
#define TEXT(Quote) u##Quote
