#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
class UWorld;
class UFunction;
class UObject {
 public:
  UClass* GetClass() const;
  FString GetPathName() const;
  UObject* GetOuter() const;
  template <typename T> T* GetTypedOuter() const;
  virtual UWorld* GetWorld() const;
  static UClass* StaticClass();
};
template <typename T> T* NewObject();
template <typename T> T* NewObject(UObject*);
template <typename T> T* NewObject(UObject*, const UClass*);
template <typename T> const T* GetDefault();
template <typename T> T* Cast(UObject*);
class FObjectInitializer;
