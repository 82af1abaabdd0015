#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "Components/MeshComponent.h"
class UStaticMesh;
class UStaticMeshComponent : public UMeshComponent { public: virtual bool SetStaticMesh(UStaticMesh*); };
