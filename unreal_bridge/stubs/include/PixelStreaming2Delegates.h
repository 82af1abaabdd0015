#pragma once
#include "TmvStub.h"
TMV_STUB(5, 7)
#include "UObject/Object.h"
template <typename... A> struct TPixelStreaming2Native {
  template <typename F> FDelegateHandle AddLambda(F&&) { static_assert(std::is_invocable<F, A...>::value, "not the event's parameters"); return FDelegateHandle(); }
  bool Remove(FDelegateHandle);
};
class UPixelStreaming2Delegates : public UObject {
 public:
  static UPixelStreaming2Delegates* Get();
  TPixelStreaming2Native<FString> OnAllConnectionsClosedNative;
};
