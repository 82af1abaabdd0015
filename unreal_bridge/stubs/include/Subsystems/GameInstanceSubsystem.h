#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
class UGameInstance;
class FSubsystemCollectionBase;
class USubsystem : public UObject {
 public:
  virtual void Initialize(FSubsystemCollectionBase&);
  virtual void Deinitialize();
};
class UGameInstanceSubsystem : public USubsystem { public: typedef UGameInstanceSubsystem Super; UGameInstance* GetGameInstance() const; };
