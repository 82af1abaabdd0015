#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
#include "CoreMinimal.h"
enum ECollisionChannel { ECC_WorldStatic, ECC_WorldDynamic, ECC_Pawn, ECC_Visibility };
namespace ECollisionEnabled { enum Type { NoCollision, QueryOnly }; }
namespace EComponentMobility { enum Type { Static, Stationary, Movable }; }
namespace EEndPlayReason { enum Type { Destroyed }; }
enum class ETeleportType : uint8 { None, TeleportPhysics, ResetPhysics };
enum class ESpawnActorCollisionHandlingMethod : uint8 { Undefined, AlwaysSpawn };
#if ENGINE_MINOR_VERSION < 1
struct FHitResult { FVector ImpactPoint; };
#endif
