#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
class FTickerDelegate {
 public:
  template <typename T> static FTickerDelegate CreateUObject(T*, bool (T::*)(float));
};
class FTSTicker {
 public:
  struct FDelegateHandle {};
  static FTSTicker& GetCoreTicker();
  FDelegateHandle AddTicker(const FTickerDelegate&, float = 0.f);
  static void RemoveTicker(FDelegateHandle);
};
