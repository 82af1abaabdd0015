#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
template <typename T> struct TSoftObjectPtr {
  T* LoadSynchronous() const;
  bool IsNull() const;
  FString ToString() const;
  bool operator==(const TSoftObjectPtr&) const;
};
