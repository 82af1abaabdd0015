#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
#include "Features/IModularFeature.h"
class IModularFeatures {
 public:
  static IModularFeatures& Get();
  virtual bool IsModularFeatureAvailable(const FName) const = 0;
  template <typename T> T& GetModularFeature(const FName);
  virtual void RegisterModularFeature(const FName, IModularFeature*) = 0;
  virtual void UnregisterModularFeature(const FName, IModularFeature*) = 0;
};
