#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
template <typename... A> struct TPixelStreamingNative {
  template <typename F> FDelegateHandle AddLambda(F&&) { static_assert(std::is_invocable<F, A...>::value, "not the event's parameters"); return FDelegateHandle(); }
  bool Remove(FDelegateHandle);
};
class UPixelStreamingDelegates : public UObject {
 public:
  static UPixelStreamingDelegates* GetPixelStreamingDelegates();
#if ENGINE_MINOR_VERSION >= 1
  TPixelStreamingNative<FString> OnAllConnectionsClosedNative;
#else
  TPixelStreamingNative<> OnAllConnectionsClosedNative;
#endif
};
