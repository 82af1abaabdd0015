#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "UObject/Object.h"
class UStruct : public UObject {};
class UClass : public UStruct {};
