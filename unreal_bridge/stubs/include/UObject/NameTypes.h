#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Containers/UnrealString.h"
enum EName { NAME_None, NAME_Zlib };
class FName {
 public:
  FName(EName = NAME_None);
  FName(const TCHAR*);
  FString ToString() const;
  bool operator==(const FName&) const;
};
