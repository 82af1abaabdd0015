#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
namespace ELogVerbosity { enum Type { NoLogging, Fatal, Error, Warning, Display, Log, Verbose, VeryVerbose, All }; }
struct FLogCategoryBase { const TCHAR* Name; };
#define DECLARE_LOG_CATEGORY_EXTERN(Category, Default, Compiled) extern struct FLogCategory##Category : public FLogCategoryBase { static constexpr auto DefaultVerbosity = ELogVerbosity::Default; static constexpr auto CompiledVerbosity = ELogVerbosity::Compiled; } Category
#define DEFINE_LOG_CATEGORY(Category) FLogCategory##Category Category
template <typename... A> void TmvStubLog(const FLogCategoryBase&, ELogVerbosity::Type, const TCHAR*, A...) {
  static_assert((... && (std::is_arithmetic<A>::value || std::is_pointer<A>::value || std::is_enum<A>::value)),
                "an argument of UE_LOG is no number and no pointer");
}
#define UE_LOG(Category, Verbosity, Format, ...) TmvStubLog(Category, ELogVerbosity::Verbosity, Format __VA_OPT__(,) __VA_ARGS__)
