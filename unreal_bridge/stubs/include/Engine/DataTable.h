#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
struct FTableRowBase { virtual ~FTableRowBase() = default; };
class UDataTable : public UObject {
 public:
  TArray<FName> GetRowNames() const;
  template <typename T> T* FindRow(FName, const TCHAR*, bool = true) const;
};
