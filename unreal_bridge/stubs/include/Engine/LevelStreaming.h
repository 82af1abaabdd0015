#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
class ULevel;
class ULevelStreaming : public UObject {
 public:
  bool ShouldBeLoaded() const;
  bool ShouldBeVisible() const;
  bool IsLevelLoaded() const;
  bool IsLevelVisible() const;
  virtual void SetShouldBeLoaded(bool);
  void SetShouldBeVisible(bool);
  void SetIsRequestingUnloadAndRemoval(bool);
  ULevel* GetLoadedLevel() const;
};
