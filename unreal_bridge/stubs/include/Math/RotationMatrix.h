#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Math/Vector.h"
namespace EAxis { enum Type { None, X, Y, Z }; }
struct FRotationMatrix { explicit FRotationMatrix(const FRotator&); FVector GetScaledAxis(EAxis::Type) const; };
